//! How a handler reaches its session: asking, locking, letting go.

use std::sync::Arc;
use std::task::Poll;

use redis::RedisResult;

use crate::client::link::ConnectionLike;
use crate::config::settings::{LockPolicy, ReadOnly, Refresh, Settings, Ttl};
use crate::error::Error;
use crate::key::{Keys, Sid};
use crate::lock::acquire::{Acquired, Acquisition, Request};
use crate::lock::held::HeldLock;
use crate::lock::scripts::{Existence, LockedOutcome, Scripts};
use crate::lock::token::Token;
use crate::log::Stopwatch;
use crate::session::entry::{Lock, Snapshot, Stage};
use crate::session::handler::Handler;
use crate::session::store::{Left, Store};
use crate::topology::ReadRouting;

impl Handler {
    /// Reads, and takes the lock where there is one to take.
    pub(super) fn obtain(
        &mut self,
        sid: &Sid,
        wanted: Existence,
        refresh: Refresh,
    ) -> Result<Poll<Acquired>, Error> {
        let settings = self.settings.clone();
        let plain = match settings.read_only {
            ReadOnly::No => false,
            ReadOnly::Wait => wanted == Existence::Unused, // there is nobody to wait for
            ReadOnly::NoWait => true,
        };
        if let Some(policy) = settings.lock.as_ref().filter(|_| !plain) {
            match self.queue_for(sid, wanted, refresh, policy) {
                Err(error @ (Error::Busy { .. } | Error::QueueFull { .. }))
                    if policy.failure_readonly && wanted != Existence::Unused =>
                {
                    let text = error.to_string();
                    let why = text.split_once(": ").map_or("", |(_, why)| why);
                    self.warnings.push(format!(
                        "Failed to acquire session lock, session will be read only: {why}"
                    ));
                    self.sessions.set_lock(sid, Lock::Barred);
                }
                outcome => return outcome,
            }
        }
        let data = self.fetch(sid, refresh)?;
        Ok(Poll::Ready(match (wanted, data.is_some()) {
            (Existence::Known, false) | (Existence::Unused, true) => Acquired::ExistenceMismatch,
            _ => Acquired::Session(data),
        }))
    }

    /// One step on the way to the lock.
    pub(super) fn queue_for(
        &mut self,
        sid: &Sid,
        wanted: Existence,
        refresh: Refresh,
        policy: &LockPolicy,
    ) -> Result<Poll<Acquired>, Error> {
        self.leave_parent();
        let read_only = self.settings.read_only;
        if self.queue.as_ref().is_some_and(|(waiting, _)| waiting != sid) {
            self.leave_queue();
        }
        let mut queue = match self.queue.take() {
            Some((_, queue)) => queue,
            None => {
                // Asked again with the same token, the lock is ours again.
                let token = match self.held_for(sid) {
                    Some(held) => held.token.clone(),
                    None => Token::new(&policy.script).map_err(Error::Random)?,
                };
                let location = self.locks.backend.location(sid)?;
                let Settings { failover, wait_replicas: replicas, .. } = *self.settings;
                Acquisition::new(Request {
                    location,
                    token,
                    wanted,
                    read_only,
                    refresh,
                    failover,
                    replicas,
                })
            }
        };
        let stopwatch = Stopwatch::start();
        let outcome = queue.step(&self.locks.backend, policy);
        match &outcome {
            Ok(Poll::Pending) => {
                self.queue = Some((sid.clone(), queue));
                return outcome;
            }
            // It is counted still, where the server can be told.
            Err(error) if !error.is_unreachable() => queue.leave(&self.locks.backend),
            Ok(Poll::Ready(_)) | Err(_) => {}
        }
        let request = queue.into_request();
        stopwatch.tell(
            "read",
            || self.locks.backend.name(&request.location),
            outcome.as_ref().map(|outcome| match outcome {
                Poll::Ready(Acquired::Session(data)) => size(data),
                Poll::Ready(Acquired::ExistenceMismatch) | Poll::Pending => 0,
            }),
        );
        if let Ok(Poll::Ready(Acquired::Session(_))) = outcome
            && read_only == ReadOnly::No
        {
            self.hold(sid, request, policy);
        }
        outcome
    }

    fn hold(&mut self, sid: &Sid, request: Request, policy: &LockPolicy) {
        let Request { location, token, .. } = request;
        let held = self.locks.hold(sid.clone(), location, token, policy, self.settings.ttl);
        self.sessions.set_lock(sid, Lock::Held(held));
    }

    pub(super) fn held_for(&mut self, sid: &Sid) -> Option<Arc<HeldLock>> {
        self.leave_parent();
        match self.sessions.get(sid).map(|entry| &entry.lock) {
            Some(Lock::Held(held)) => Some(held.clone()),
            Some(Lock::No | Lock::Barred | Lock::Inherited) | None => None,
        }
    }

    /// Takes the lock again that a failed primary took along, as its replica
    /// had not been told of it. Only at another server than the one that gave
    /// it, only if nobody has it there, and only if the session is as it was
    /// when it was read: so no write comes between.
    pub(super) fn reclaim(&mut self, sid: &Sid) -> bool {
        let Some(held) = self.held_for(sid) else { return false };
        let stage = self.sessions.get_mut(sid).map(|entry| &mut entry.stage);
        let Some(Stage::Known { existed, snapshot }) = stage else { return false };
        let existed = *existed;
        let Snapshot::Data(data) = std::mem::replace(snapshot, Snapshot::None) else {
            return false;
        };
        if held.server == self.locks.backend.name(&held.location) {
            return false;
        }
        let before = existed.then_some(data.as_slice());
        let kept = self.ask("reclaim", sid, no_data, |link, keys| {
            Scripts(link).reclaim(keys, &held.token, held.lease, before)
        });
        matches!(kept, Ok(LockedOutcome::Done))
    }

    pub(super) fn lost(&mut self, sid: &Sid) -> Error {
        self.sessions.set_lock(sid, Lock::Barred);
        self.warnings.push(
            "Session lock expired: it ended before this request did, or was removed; see \
             redis.session.lock_expire"
                .to_owned(),
        );
        Error::LockLost
    }

    /// Lets go of all locks; a server that does not answer is asked once.
    pub(super) fn release_all(&mut self) -> Result<(), Error> {
        self.leave_parent();
        let mut held = Vec::new();
        for entry in self.sessions.iter_mut() {
            if let Lock::Held(lock) = std::mem::take(&mut entry.lock) {
                if entry.unreachable {
                    lock.was_released();
                } else {
                    held.push(lock);
                }
            }
        }
        let mut failure: Option<(Arc<HeldLock>, Error)> = None;
        for held in held {
            if failure.as_ref().is_some_and(|(other, _)| other.server == held.server) {
                held.was_released();
                continue;
            }
            let released = self.ask("release", &held.sid, no_data, |link, keys| {
                Scripts(link).release(keys, &held.token)
            });
            // Where it was not told, its successor will be.
            held.was_released();
            // One that is not ours any more needs no release.
            if let Err(error) = released {
                failure.get_or_insert((held, error));
            }
        }
        match failure {
            Some((_, error)) => Err(Error::Release(Box::new(error))),
            None => Ok(()),
        }
    }

    /// Stops waiting. Returns for which session that was.
    pub(super) fn leave_queue(&mut self) -> Option<Sid> {
        self.leave_parent(); // whose queue it is
        let (sid, mut queue) = self.queue.take()?;
        queue.leave(&self.locks.backend);
        Some(sid)
    }

    /// What a read does about the TTL. A request that will write wants the
    /// session to be there at its end: one that is about to expire is kept.
    pub(super) fn refresh(&self, ttl: Ttl) -> Refresh {
        match self.settings.read_only {
            _ if self.settings.early_refresh => Refresh::Always(ttl),
            ReadOnly::No => Refresh::Below(ttl, ttl.short()),
            ReadOnly::Wait | ReadOnly::NoWait => Refresh::Never,
        }
    }

    pub(super) fn fetch(&mut self, sid: &Sid, refresh: Refresh) -> Result<Option<Vec<u8>>, Error> {
        // Starting the TTL again is a write.
        let access = match refresh {
            Refresh::Always(_) => ReadRouting::Primary,
            Refresh::Below(..) if !self.locks.backend.tells_ttls() => ReadRouting::Primary,
            Refresh::Below(..) | Refresh::Never => ReadRouting::Read,
        };
        let read = |link: &mut dyn ConnectionLike, keys: &Keys| {
            let (mut store, key) = (Store(link), &keys.session);
            let data = match refresh {
                Refresh::Always(ttl) => store.get_and_touch(key, ttl)?,
                Refresh::Below(..) if access == ReadRouting::Read => {
                    return store.get_and_look(key);
                }
                // Who may not ask how much is left may still start it again.
                Refresh::Below(ttl, _) => store.get_and_try_touch(key, ttl)?,
                Refresh::Never => store.get(key)?,
            };
            Ok((data, Left::Endless))
        };
        let (data, left) = self.ask_with(access, "read", sid, |(data, _)| size(data), read)?;
        let is_short = match (left, refresh) {
            (Left::Time(left), Refresh::Below(_, short)) => left < short,
            (Left::Hidden, _) => {
                self.locks.backend.hides_ttls();
                true
            }
            _ => false,
        };
        if let Refresh::Below(ttl, _) = refresh
            && is_short
        {
            // It will be there for a while even if this fails.
            let _ =
                self.ask("touch", sid, no_data, |link, keys| Store(link).touch(&keys.session, ttl));
        }
        Ok(data)
    }

    /// Runs one operation on the server that keeps `sid`, and tells the log
    /// of it, and of how many `bytes` of session data went with it.
    pub(super) fn ask<T>(
        &mut self,
        operation: &'static str,
        sid: &Sid,
        bytes: impl Fn(&T) -> usize,
        exchange: impl FnMut(&mut dyn ConnectionLike, &Keys) -> RedisResult<T>,
    ) -> Result<T, Error> {
        self.ask_with(ReadRouting::Primary, operation, sid, bytes, exchange)
    }

    pub(super) fn ask_with<T>(
        &mut self,
        access: ReadRouting,
        operation: &'static str,
        sid: &Sid,
        bytes: impl Fn(&T) -> usize,
        mut exchange: impl FnMut(&mut dyn ConnectionLike, &Keys) -> RedisResult<T>,
    ) -> Result<T, Error> {
        self.leave_parent();
        let location = self.locks.backend.location(sid)?;
        let stopwatch = Stopwatch::start();
        let patience = self.settings.failover;
        let answer = self
            .locks
            .backend
            .run(&location, access, patience, |link| exchange(link, &location.keys));
        stopwatch.tell(
            operation,
            || self.locks.backend.name(&location),
            answer.as_ref().map(bytes),
        );
        if let Some(entry) = self.sessions.get_mut(sid) {
            entry.unreachable = answer.as_ref().is_err_and(Error::is_unreachable);
        }
        answer
    }

    /// A forked child leaves its parent's connections and its parent's lock
    /// alone, and makes its own.
    pub(super) fn leave_parent(&mut self) {
        let pid = std::process::id();
        if self.pid == pid {
            return;
        }
        self.pid = pid;
        for entry in self.sessions.iter_mut() {
            if let Lock::Held(_) = entry.lock {
                std::mem::forget(std::mem::replace(&mut entry.lock, Lock::Inherited));
            }
        }
        std::mem::forget(self.queue.take());
        // It was parsed before, so it parses now.
        if let Ok((locks, _)) = (self.find)(&self.save_path) {
            std::mem::forget(std::mem::replace(&mut self.locks, locks));
        }
    }
}

pub(super) fn size(data: &Option<Vec<u8>>) -> usize {
    data.as_ref().map_or(0, Vec::len)
}

pub(super) fn no_data<T>(_: &T) -> usize {
    0
}
