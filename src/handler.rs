//! One open session: a method for each callback of PHP's save handler.
//!
//! Decides what is asked of the servers and remembers what they said, so that
//! no question is asked twice. Sees no pointer and calls no PHP.

use std::sync::Arc;

use redis::RedisResult;

use crate::connection::{Confirmed, Link};
use crate::error::Error;
use crate::key::{Keys, Sid};
use crate::lease::Held;
use crate::lock::Token;
use crate::log::Stopwatch;
use crate::process::Process;
use crate::queue::{Outcome, Progress, Queue, Request};
use crate::scripts::{Kept, Scripts, Wanted};
use crate::settings::{LockPolicy, ReadOnly, Settings, Ttl};
use crate::store::Store;
use crate::topology::{Access, Target};

/// What an earlier callback of this request has read already.
struct Answer {
    sid: Sid,
    data: Option<Vec<u8>>,
}

/// What a save handler's name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serves {
    /// Whatever the save path says: `redis` and `redis_session`.
    Anything,
    /// Clusters: `rediscluster`.
    Clusters,
}

/// The state behind one `session_start()`.
pub struct Handler {
    save_path: String,
    settings: Arc<Settings>,
    target: Arc<Target>,
    pid: u32,
    /// On the way to a lock.
    queue: Option<(Sid, Queue)>,
    /// The lock, while we have it.
    held: Option<Arc<Held>>,
    /// Read ahead, by the check of an id, for the read that follows.
    answer: Option<Answer>,
    /// The session that was read, and whether it was there.
    current: Option<(Sid, bool)>,
    /// Why a check could not be made: the read that follows fails of it.
    failure: Option<Error>,
    /// Whether the server failed us: then it is not asked to unlock.
    unreachable: bool,
    /// The lock was missed, and the request goes on without it.
    unlocked: bool,
    /// What the read callback hands to PHP.
    pub data: Vec<u8>,
    /// What the user should know of what went on.
    pub warnings: Vec<String>,
}

impl Handler {
    /// Makes sense of `save_path`; connects to nothing.
    ///
    /// # Errors
    /// [`Error::SavePath`], [`Error::NoSeeds`].
    pub fn open(serves: Serves, save_path: &str, settings: Settings) -> Result<Self, Error> {
        let (target, warnings) = Process::current().target(save_path)?;
        if serves == Serves::Clusters && !target.is_cluster() {
            return Err(Error::NoSeeds);
        }
        Ok(Self {
            save_path: save_path.to_owned(),
            settings: Arc::new(settings),
            target,
            pid: std::process::id(),
            queue: None,
            held: None,
            answer: None,
            current: None,
            failure: None,
            unreachable: false,
            unlocked: false,
            data: Vec::new(),
            warnings,
        })
    }

    /// Opens again without a close in between, as `session_reset()` does. A
    /// lock stays with us.
    ///
    /// # Errors
    /// As for [`Handler::open`]; the handler stays as it was.
    pub fn reopen(
        &mut self,
        serves: Serves,
        save_path: &str,
        settings: Settings,
    ) -> Result<(), Error> {
        let fresh = Self::open(serves, save_path, settings)?;
        let held = self.held.take();
        *self = Self { held, ..fresh };
        Ok(())
    }

    /// Whether `sid` names a session. What is read on the way is kept for the
    /// read that follows, so strict mode costs no round trip.
    ///
    /// A server that does not answer is no reason to give a visitor a new id:
    /// the id passes, and the read fails.
    ///
    /// # Errors
    /// None of its own; see [`Handler::read`].
    pub fn validate(&mut self, sid: &[u8]) -> Result<Progress<bool>, Error> {
        let Ok(sid) = Sid::new(sid) else { return Ok(Progress::Done(false)) };
        if let Some(answer) = self.answer.as_ref().filter(|answer| answer.sid == sid) {
            return Ok(Progress::Done(answer.data.is_some()));
        }
        let found = match self.current {
            // An id made in the middle of another session is only looked at.
            Some(_) => self.fetch(&sid, None).map(|data| match data {
                Some(_) => Progress::Done(Outcome::Ours(None)),
                None => Progress::Done(Outcome::Unwanted),
            }),
            None => self.obtain(&sid, Wanted::Known, self.refresh(self.settings.ttl)),
        };
        match found {
            Ok(Progress::Waiting) => return Ok(Progress::Waiting),
            Ok(Progress::Done(Outcome::Unwanted)) => return Ok(Progress::Done(false)),
            Ok(Progress::Done(Outcome::Ours(data))) => {
                // It may have been removed in this very moment.
                let known = data.is_some() || self.current.is_some();
                self.answer = Some(Answer { sid, data });
                return Ok(Progress::Done(known));
            }
            Err(error) => self.failure = Some(error),
        }
        Ok(Progress::Done(true))
    }

    /// Ends a wait of [`Handler::validate`]: the id passes, the read fails.
    ///
    /// # Errors
    /// None.
    pub fn interrupt_validation(&mut self) -> Result<bool, Error> {
        self.leave_queue();
        self.failure = Some(Error::Interrupted);
        Ok(true)
    }

    /// Whether the new id `sid` names no session yet. As in
    /// [`Handler::validate`], the answer is kept and a failure waits.
    ///
    /// # Errors
    /// [`Error::Sid`] if the generator makes ids that cannot be keys.
    pub fn is_unused(&mut self, sid: &[u8]) -> Result<bool, Error> {
        let sid = Sid::new(sid)?;
        if self.current.is_some() || self.failure.is_some() {
            return Ok(true); // PHP checks it, or nothing will come of it
        }
        match self.obtain(&sid, Wanted::Unused, None) {
            Ok(Progress::Done(Outcome::Ours(data))) => self.answer = Some(Answer { sid, data }),
            Ok(Progress::Done(Outcome::Unwanted) | Progress::Waiting) => return Ok(false),
            Err(Error::Busy { .. }) => return Ok(false),
            Err(error) => self.failure = Some(error),
        }
        Ok(true)
    }

    /// Lets the read that follows fail with `error`.
    pub fn fail_read(&mut self, error: Error) {
        self.failure = Some(error);
    }

    /// Reads the session into `self.data`; empty where there is none.
    ///
    /// # Errors
    /// Any but those of writing.
    pub fn read(&mut self, sid: &[u8], ttl: Ttl) -> Result<Progress<()>, Error> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let sid = Sid::new(sid)?;
        let data = match self.answer.take() {
            Some(answer) if answer.sid == sid => answer.data,
            _ => match self.obtain(&sid, Wanted::Any, self.refresh(ttl))? {
                Progress::Done(Outcome::Ours(data)) => data,
                Progress::Done(Outcome::Unwanted) => None,
                Progress::Waiting => return Ok(Progress::Waiting),
            },
        };
        self.current = Some((sid, data.is_some()));
        self.data = data.unwrap_or_default();
        Ok(Progress::Done(()))
    }

    /// Ends a wait of [`Handler::read`].
    ///
    /// # Errors
    /// Always [`Error::Interrupted`].
    pub fn interrupt_read(&mut self) -> Result<(), Error> {
        self.leave_queue();
        Err(Error::Interrupted)
    }

    /// Stores the session for `ttl`, also an empty one, and lets go of the
    /// lock: PHP will not write again, unless it is not PHP who calls.
    ///
    /// # Errors
    /// [`Error::Sid`], [`Error::Write`], [`Error::ReadOnly`],
    /// [`Error::LockLost`], [`Error::NotLocked`].
    pub fn write(&mut self, sid: &[u8], data: &[u8], ttl: Ttl) -> Result<(), Error> {
        let sid = Sid::new(sid)?;
        if self.settings.read_only != ReadOnly::No {
            return Err(Error::ReadOnly);
        }
        let settings = self.settings.clone();
        let held = match settings.lock {
            None => None,
            Some(_) => Some(self.held_for(&sid).ok_or(Error::NotLocked)?),
        };
        let mut tries = 0;
        let mut confirmed = 0;
        let kept = self.ask(
            "write",
            &sid,
            |_| data.len(),
            |link, keys| {
                tries += 1;
                let replicas = settings.wait_replicas;
                let mut link = Confirmed { link, replicas, confirmed: 0 };
                let kept = match &held {
                    None => Store(&mut link).set(&keys.session, data, ttl).map(|()| Kept::Done),
                    Some(held) => {
                        let keep = settings.proxied;
                        Scripts(&mut link).write(keys, &held.token, ttl, keep, tries > 1, data)
                    }
                };
                confirmed = link.confirmed;
                kept
            },
        );
        match kept.map_err(Error::on_write)? {
            Kept::Done if settings.proxied => {}
            Kept::Done => self.held = None,
            Kept::Lost | Kept::Gone => return Err(self.lost()),
        }
        let wanted = settings.wait_replicas;
        if confirmed < wanted {
            return Err(Error::Unconfirmed { confirmed, wanted });
        }
        self.current = Some((sid, true));
        Ok(())
    }

    /// Starts the TTL of an unchanged session again, and lets go of the lock.
    /// One that has vanished, or was never stored, is written.
    ///
    /// # Errors
    /// As for [`Handler::write`].
    pub fn update_timestamp(&mut self, sid: &[u8], data: &[u8], ttl: Ttl) -> Result<(), Error> {
        let parsed = Sid::new(sid)?;
        let mut may_write = self.settings.read_only == ReadOnly::No && !self.unlocked;
        let is_new = matches!(&self.current, Some((current, false)) if *current == parsed);
        if is_new && may_write {
            return self.write(sid, data, ttl);
        }
        let ttl_to_set = (!self.settings.early_refresh).then_some(ttl);
        if may_write && let Some(held) = self.held_for(&parsed) {
            let keep = self.settings.proxied;
            let kept = self.ask("touch", &parsed, no_data, |link, keys| {
                Scripts(link).touch(keys, &held.token, ttl_to_set, keep)
            });
            match kept.map_err(Error::on_write)? {
                Kept::Done if keep => return Ok(()),
                Kept::Done => {
                    self.held = None;
                    return Ok(());
                }
                Kept::Gone => return self.write(sid, data, ttl),
                Kept::Lost => {
                    // Nothing was changed, so nothing is lost with the lock.
                    self.held = None;
                    may_write = false;
                }
            }
        }
        let Some(ttl) = ttl_to_set else { return Ok(()) };
        let touched = self
            .ask("touch", &parsed, no_data, |link, keys| Store(link).touch(&keys.session, ttl))
            .map_err(Error::on_write)?;
        if touched || !may_write { Ok(()) } else { self.write(sid, data, ttl) }
    }

    /// Removes the session, then lets go of the lock. One that does not exist
    /// is removed already.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Exchange`], [`Error::Refused`].
    pub fn destroy(&mut self, sid: &[u8]) -> Result<(), Error> {
        let Ok(sid) = Sid::new(sid) else { return Ok(()) };
        match self.held_for(&sid) {
            Some(held) => {
                self.ask("destroy", &sid, no_data, |link, keys| {
                    Scripts(link).destroy(keys, &held.token)
                })?;
                self.held = None;
                Ok(())
            }
            None => {
                self.ask("destroy", &sid, no_data, |link, keys| Store(link).delete(&keys.session))
            }
        }
    }

    /// Ends the request's use of the session: lets go of what is left.
    ///
    /// # Errors
    /// [`Error::Release`]: the lock stays until its lease ends.
    pub fn close(&mut self) -> Result<(), Error> {
        self.leave_queue();
        let released = self.release();
        self.target.end_request();
        released
    }

    /// Reads, and takes the lock where there is one to take.
    fn obtain(
        &mut self,
        sid: &Sid,
        wanted: Wanted,
        refresh: Option<Ttl>,
    ) -> Result<Progress<Outcome>, Error> {
        let settings = self.settings.clone();
        let plain = match settings.read_only {
            ReadOnly::No => false,
            ReadOnly::Wait => wanted == Wanted::Unused, // there is nobody to wait for
            ReadOnly::NoWait => true,
        };
        if let Some(policy) = settings.lock.as_ref().filter(|_| !plain) {
            match self.queue_for(sid, wanted, refresh, policy) {
                Err(error @ (Error::Busy { .. } | Error::Crowded { .. }))
                    if policy.failure_readonly && wanted != Wanted::Unused =>
                {
                    let text = error.to_string();
                    let why = text.split_once(": ").map_or("", |(_, why)| why);
                    self.warnings.push(format!(
                        "Failed to acquire session lock, session will be read only: {why}"
                    ));
                    self.unlocked = true;
                }
                outcome => return outcome,
            }
        }
        let data = self.fetch(sid, refresh)?;
        Ok(Progress::Done(match (wanted, data.is_some()) {
            (Wanted::Known, false) | (Wanted::Unused, true) => Outcome::Unwanted,
            _ => Outcome::Ours(data),
        }))
    }

    /// One step on the way to the lock.
    fn queue_for(
        &mut self,
        sid: &Sid,
        wanted: Wanted,
        refresh: Option<Ttl>,
        policy: &LockPolicy,
    ) -> Result<Progress<Outcome>, Error> {
        self.leave_parent();
        let read_only = self.settings.read_only;
        let mut queue = match self.queue.take() {
            Some((waiting, queue)) if waiting == *sid => queue,
            _ => {
                // Asked again with the same token, the lock is ours again.
                let token = match self.held_for(sid) {
                    Some(held) => held.token.clone(),
                    None => Token::new(&policy.script).map_err(Error::Random)?,
                };
                let place = self.target.place(sid)?;
                let failover = self.settings.failover;
                Queue::new(Request { place, token, wanted, read_only, refresh, failover })
            }
        };
        let stopwatch = Stopwatch::start();
        let outcome = queue.step(&self.target, policy);
        if let Ok(Progress::Waiting) = outcome {
            self.queue = Some((sid.clone(), queue));
            return outcome;
        }
        let request = queue.into_request();
        stopwatch.tell(
            "read",
            || self.target.name(&request.place),
            outcome.as_ref().map(|outcome| match outcome {
                Progress::Done(Outcome::Ours(data)) => size(data),
                Progress::Done(Outcome::Unwanted) | Progress::Waiting => 0,
            }),
        );
        if let Ok(Progress::Done(Outcome::Ours(_))) = outcome
            && read_only == ReadOnly::No
        {
            self.hold(sid, request, policy);
        }
        outcome
    }

    fn hold(&mut self, sid: &Sid, request: Request, policy: &LockPolicy) {
        if self.held.as_ref().is_some_and(|held| held.sid != *sid) {
            // A failure is told by the server's next one; this one lapses.
            let _ = self.release();
        }
        let Request { place, token, .. } = request;
        let (lease, target) = (policy.lease, self.target.clone());
        let held = Arc::new(Held { sid: sid.clone(), place, token, lease, target });
        if policy.renewed {
            let process = Process::current();
            process.leases.keep(&process, &held);
        }
        self.held = Some(held);
    }

    fn held_for(&mut self, sid: &Sid) -> Option<Arc<Held>> {
        self.leave_parent();
        self.held.clone().filter(|held| held.sid == *sid)
    }

    fn lost(&mut self) -> Error {
        self.held = None;
        self.warnings.push(
            "Session lock expired: it ended before this request did, or was removed; see \
             redis.session.lock_expire"
                .to_owned(),
        );
        Error::LockLost
    }

    fn release(&mut self) -> Result<(), Error> {
        self.leave_parent();
        let Some(held) = self.held.take().filter(|_| !self.unreachable) else { return Ok(()) };
        self.ask("release", &held.sid, no_data, |link, keys| {
            Scripts(link).release(keys, &held.token)
        })
        .map(|_| ()) // one that is not ours any more needs no release
        .map_err(|error| Error::Release(Box::new(error)))
    }

    fn leave_queue(&mut self) {
        if let Some((_, mut queue)) = self.queue.take() {
            queue.leave(&self.target);
        }
    }

    fn refresh(&self, ttl: Ttl) -> Option<Ttl> {
        self.settings.early_refresh.then_some(ttl)
    }

    fn fetch(&mut self, sid: &Sid, refresh: Option<Ttl>) -> Result<Option<Vec<u8>>, Error> {
        // Starting the TTL again is a write.
        let access = if refresh.is_none() { Access::Read } else { Access::Primary };
        self.ask_with(access, "read", sid, size, |link, keys| match refresh {
            Some(ttl) => Store(link).get_and_touch(&keys.session, ttl),
            None => Store(link).get(&keys.session),
        })
    }

    /// Runs one operation on the server that keeps `sid`, and tells the log
    /// of it, and of how many `bytes` of session data went with it.
    fn ask<T>(
        &mut self,
        operation: &'static str,
        sid: &Sid,
        bytes: impl Fn(&T) -> usize,
        exchange: impl FnMut(&mut dyn Link, &Keys) -> RedisResult<T>,
    ) -> Result<T, Error> {
        self.ask_with(Access::Primary, operation, sid, bytes, exchange)
    }

    fn ask_with<T>(
        &mut self,
        access: Access,
        operation: &'static str,
        sid: &Sid,
        bytes: impl Fn(&T) -> usize,
        mut exchange: impl FnMut(&mut dyn Link, &Keys) -> RedisResult<T>,
    ) -> Result<T, Error> {
        self.leave_parent();
        let place = self.target.place(sid)?;
        let stopwatch = Stopwatch::start();
        let patience = self.settings.failover;
        let answer = self.target.run(&place, access, patience, |link| exchange(link, &place.keys));
        stopwatch.tell(operation, || self.target.name(&place), answer.as_ref().map(bytes));
        self.unreachable = answer.as_ref().is_err_and(Error::is_unreachable);
        answer
    }

    /// A forked child leaves its parent's connections and its parent's lock
    /// alone, and makes its own.
    fn leave_parent(&mut self) {
        let pid = std::process::id();
        if self.pid == pid {
            return;
        }
        self.pid = pid;
        std::mem::forget(self.held.take());
        std::mem::forget(self.queue.take());
        // It was parsed before, so it parses now.
        if let Ok((target, _)) = Process::current().target(&self.save_path) {
            std::mem::forget(std::mem::replace(&mut self.target, target));
        }
    }
}

fn size(data: &Option<Vec<u8>>) -> usize {
    data.as_ref().map_or(0, Vec::len)
}

fn no_data<T>(_: &T) -> usize {
    0
}
