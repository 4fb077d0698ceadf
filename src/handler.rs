//! One open session: a method for each callback of PHP's save handler.
//!
//! Decides what is asked of the servers and remembers what they said, so that
//! no question is asked twice. Sees no pointer and calls no PHP. How it
//! reaches the servers is in `reach`.

mod reach;

use std::sync::Arc;

use crate::error::Error;
use crate::key::Sid;
use crate::lease::Held;
use crate::link::Confirmed;
use crate::process::Process;
use crate::queue::{Outcome, Progress, Queue};
use crate::scripts::{Kept, Scripts, Wanted};
use crate::settings::{ReadOnly, Settings, Ttl};
use crate::store::Store;
use crate::topology::Target;
use reach::no_data;

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
    /// What it was, where its lock may be lost although we hold it.
    seen: Option<Answer>,
    /// Its read has begun and PHP has not got its data. A write that comes all
    /// the same is what PHP does after a fatal error in the middle of the read.
    unread: Option<Sid>,
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
            seen: None,
            unread: None,
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
        self.leave_parent();
        let fresh = Self::open(serves, save_path, settings)?;
        if fresh.save_path != self.save_path {
            // The lock of a session elsewhere is of no use here.
            self.close()?;
        }
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
        let sid = Sid::new(sid);
        self.unread = sid.as_ref().ok().cloned();
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let sid = sid?;
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

    /// PHP has its copy of `self.data`.
    pub fn handed_over(&mut self) {
        self.unread = None;
        let data = std::mem::take(&mut self.data);
        self.seen = match &self.current {
            Some((sid, existed)) if self.held.is_some() && self.target.is_changing() => {
                Some(Answer { sid: sid.clone(), data: existed.then_some(data) })
            }
            _ => None,
        };
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
    /// [`Error::Sid`], [`Error::Write`], [`Error::ReadOnly`], [`Error::NotRead`],
    /// [`Error::LockLost`], [`Error::Unanswered`], [`Error::NotLocked`].
    pub fn write(&mut self, sid: &[u8], data: &[u8], ttl: Ttl) -> Result<(), Error> {
        let sid = Sid::new(sid)?;
        if self.settings.read_only != ReadOnly::No {
            return Err(Error::ReadOnly);
        }
        if self.unread.as_ref() == Some(&sid) {
            return Err(Error::NotRead);
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
                let mut link = Confirmed { link, replicas, limit: None, confirmed: 0 };
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
            Kept::Done if settings.proxied => self.seen = None,
            Kept::Done => self.held = None,
            Kept::Lost if self.reclaim(&sid) => return self.write(sid.as_bytes(), data, ttl),
            Kept::Lost | Kept::Gone if tries > 1 => {
                self.held = None;
                return Err(Error::Unanswered);
            }
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
}
