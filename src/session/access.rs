//! How a handler reaches its sessions: executing, locking, releasing.

use std::sync::Arc;
use std::task::Poll;

use redis::RedisResult;

use crate::client::connection_like::ConnectionLike;
use crate::config::settings::{LockPolicy, ReadOnly, Refresh, Settings, Ttl};
use crate::error::Error;
use crate::key::{Keys, Sid, SidBuf};
use crate::lock::acquire::{Acquired, Acquisition, Request};
use crate::lock::held::HeldLock;
use crate::lock::scripts::{Existence, LockedOutcome, Scripts};
use crate::lock::token::Token;
use crate::log::Stopwatch;
use crate::session::entry::{Entry, Locked};
use crate::session::handler::Handler;
use crate::session::store::{Left, Store};
use crate::topology::{ReadRouting, SessionLocation};

impl Handler {
    /// Reads, and takes the lock where there is one to take. Blocks for at most
    /// about a second.
    pub(super) fn acquire_or_read(
        &mut self,
        sid: Sid<'_>,
        wanted: Existence,
        refresh: Refresh,
    ) -> Result<Poll<Acquired>, Error> {
        let settings = self.settings.clone();
        let plain = match settings.read_only {
            ReadOnly::No => false,
            ReadOnly::Wait => wanted == Existence::Unused, // there is no one to wait for
            ReadOnly::NoWait => true,
        };
        if let Some(policy) = settings.lock.as_ref().filter(|_| !plain) {
            match self.step_to_lock(sid, wanted, refresh, policy) {
                Err(error @ (Error::Busy { .. } | Error::QueueFull { .. }))
                    if policy.failure_readonly && wanted != Existence::Unused =>
                {
                    let text = error.to_string();
                    let why = text.split_once(": ").map_or("", |(_, why)| why);
                    self.warnings.push(format!(
                        "Failed to acquire session lock, session will be read only: {why}"
                    ));
                    self.sessions.update(sid, Entry::deny);
                }
                outcome => return outcome,
            }
        }
        let data = self.read_without_lock(sid, refresh)?;
        Ok(Poll::Ready(match (wanted, data.is_some()) {
            (Existence::Known, false) | (Existence::Unused, true) => Acquired::ExistenceMismatch,
            _ => Acquired::Session(data),
        }))
    }

    /// One step on the way to the lock. Blocks for at most about a second.
    pub(super) fn step_to_lock(
        &mut self,
        sid: Sid<'_>,
        wanted: Existence,
        refresh: Refresh,
        policy: &LockPolicy,
    ) -> Result<Poll<Acquired>, Error> {
        self.leave_parent();
        let mut acquisition = self.take_acquisition(sid, wanted, refresh, policy)?;
        let stopwatch = Stopwatch::start();
        let outcome = acquisition.step(&self.locks.backend, policy);
        match &outcome {
            Ok(Poll::Pending) => {
                self.acquisition = Some((sid.to_owned(), acquisition));
                return outcome;
            }
            // It is counted still, where the server can be told.
            Err(error) if !error.is_unreachable() => acquisition.leave(&self.locks.backend),
            Ok(Poll::Ready(_)) | Err(_) => {}
        }
        let request = acquisition.into_request();
        stopwatch.tell(
            "read",
            || self.locks.backend.name(&request.location),
            outcome.as_ref().map(|outcome| match outcome {
                Poll::Ready(Acquired::Session(data)) => size(data.as_ref()),
                Poll::Ready(Acquired::ExistenceMismatch) | Poll::Pending => 0,
            }),
        );
        if let Ok(Poll::Ready(Acquired::Session(_))) = outcome
            && self.settings.read_only == ReadOnly::No
        {
            let Request { location, token, .. } = request;
            let held = self.locks.hold(location, token, policy, self.settings.ttl);
            self.sessions.update(sid, |entry| entry.grant(held));
        }
        outcome
    }

    /// The request that is on its way to the lock of `sid`, or a new one. One
    /// that waits for another session waits no more.
    fn take_acquisition(
        &mut self,
        sid: Sid<'_>,
        wanted: Existence,
        refresh: Refresh,
        policy: &LockPolicy,
    ) -> Result<Acquisition, Error> {
        if self.acquisition.as_ref().is_some_and(|(waiting, _)| waiting.as_sid() != sid) {
            self.cancel_acquisition();
        }
        if let Some((_, acquisition)) = self.acquisition.take() {
            return Ok(acquisition);
        }
        // Asked again with the same token, the lock is ours again.
        let token = match self.held_lock(sid) {
            Some(held) => held.token.clone(),
            None => Token::new(&policy.script).map_err(Error::Random)?,
        };
        let location = self.location(sid)?;
        let Settings { failover, wait_replicas: replicas, read_only, .. } = *self.settings;
        Ok(Acquisition::new(Request {
            location,
            token,
            wanted,
            read_only,
            refresh,
            failover,
            replicas,
        }))
    }

    /// The lock of `sid`, if this request, in this process, holds it.
    pub(super) fn held_lock(&mut self, sid: Sid<'_>) -> Option<Arc<HeldLock>> {
        self.leave_parent();
        self.sessions.get(sid)?.lock().cloned()
    }

    /// Takes the lock again that a failed primary took along, as its replica
    /// had not been told of it. Only at another server than the one that gave
    /// it, only if no one has it there, and only if the session is as it was
    /// when it was read: so no write comes between.
    pub(super) fn reclaim(&mut self, sid: Sid<'_>) -> bool {
        let Some(held) = self.held_lock(sid) else { return false };
        if held.server == self.locks.backend.name(&held.location) {
            return false;
        }
        let Some(before) = self.sessions.update(sid, Entry::take_snapshot) else { return false };
        let outcome = self.execute("reclaim", sid, no_data, |connection, keys| {
            Scripts(connection).reclaim(keys, &held.token, held.lease, before.as_deref())
        });
        matches!(outcome, Ok(LockedOutcome::Done))
    }

    /// The lock has ended before the request: it writes the session no more, and
    /// the user is warned.
    pub(super) fn deny_for_lost_lock(&mut self, sid: Sid<'_>) -> Error {
        self.sessions.update(sid, Entry::deny);
        self.warnings.push(
            "Session lock expired: it ended before this request did, or was removed; see \
             redis.session.lock_expire"
                .to_owned(),
        );
        Error::LockLost
    }

    /// Releases all locks; a server that does not answer is asked once.
    pub(super) fn release_all(&mut self) -> Result<(), Error> {
        self.leave_parent();
        let mut failure: Option<(Arc<HeldLock>, Error)> = None;
        for Locked { lock, unreachable } in self.sessions.give_up() {
            let has_failed = failure.as_ref().is_some_and(|(other, _)| other.server == lock.server);
            if !unreachable && !has_failed {
                let (location, token) = (&lock.location, &lock.token);
                let release = |connection: &mut dyn ConnectionLike, keys: &Keys| {
                    Scripts(connection).release(keys, token)
                };
                let released =
                    self.execute_at(location, ReadRouting::Primary, "release", no_data, release);
                // One that is not ours any more needs no release.
                if let Err(error) = released {
                    failure.get_or_insert((lock.clone(), error));
                }
            }
            // Where it was not told, its successor will be.
            lock.was_released();
        }
        match failure {
            Some((_, error)) => Err(Error::Release(Box::new(error))),
            None => Ok(()),
        }
    }

    /// Waits no more for a lock, and tells the server so. Returns for which
    /// session that was.
    pub(super) fn cancel_acquisition(&mut self) -> Option<SidBuf> {
        self.leave_parent(); // whose wait it is
        let (sid, mut acquisition) = self.acquisition.take()?;
        acquisition.leave(&self.locks.backend);
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

    /// Reads the session without asking for its lock, as `refresh` says.
    pub(super) fn read_without_lock(
        &mut self,
        sid: Sid<'_>,
        refresh: Refresh,
    ) -> Result<Option<Vec<u8>>, Error> {
        // Starting the TTL again is a write.
        let routing = match refresh {
            Refresh::Always(_) => ReadRouting::Primary,
            Refresh::Below(..) if !self.locks.backend.tells_ttls() => ReadRouting::Primary,
            Refresh::Below(..) | Refresh::Never => ReadRouting::Read,
        };
        let read = |connection: &mut dyn ConnectionLike, keys: &Keys| {
            let (mut store, key) = (Store(connection), &keys.session);
            let data = match refresh {
                Refresh::Always(ttl) => store.get_and_touch(key, ttl)?,
                Refresh::Below(..) if routing == ReadRouting::Read => {
                    return store.get_and_look(key);
                }
                // Who may not ask how much is left may still start it again.
                Refresh::Below(ttl, _) => store.get_and_try_touch(key, ttl)?,
                Refresh::Never => store.get(key)?,
            };
            Ok((data, Left::Endless))
        };
        let (data, left) =
            self.execute_routed(routing, "read", sid, |(data, _)| size(data.as_ref()), read)?;
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
            let _ = self.execute("touch", sid, no_data, |connection, keys| {
                Store(connection).touch(&keys.session, ttl)
            });
        }
        Ok(data)
    }

    /// Executes one operation on the primary of `sid`, and tells the log of it, and
    /// of how many `bytes` of session data went with it. Blocks until the server
    /// has answered, or the time for a failover is over.
    pub(super) fn execute<T>(
        &mut self,
        operation: &'static str,
        sid: Sid<'_>,
        bytes: impl Fn(&T) -> usize,
        exchange: impl FnMut(&mut dyn ConnectionLike, &Keys) -> RedisResult<T>,
    ) -> Result<T, Error> {
        self.execute_routed(ReadRouting::Primary, operation, sid, bytes, exchange)
    }

    /// As [`Handler::execute`], on a server that `routing` allows.
    fn execute_routed<T>(
        &mut self,
        routing: ReadRouting,
        operation: &'static str,
        sid: Sid<'_>,
        bytes: impl Fn(&T) -> usize,
        exchange: impl FnMut(&mut dyn ConnectionLike, &Keys) -> RedisResult<T>,
    ) -> Result<T, Error> {
        self.leave_parent();
        let location = self.location(sid)?;
        let outcome = self.execute_at(&location, routing, operation, bytes, exchange);
        let unreachable = outcome.as_ref().is_err_and(Error::is_unreachable);
        self.sessions.update(sid, |entry| entry.note_reached(unreachable));
        outcome
    }

    fn execute_at<T>(
        &self,
        location: &SessionLocation,
        routing: ReadRouting,
        operation: &'static str,
        bytes: impl Fn(&T) -> usize,
        mut exchange: impl FnMut(&mut dyn ConnectionLike, &Keys) -> RedisResult<T>,
    ) -> Result<T, Error> {
        let stopwatch = Stopwatch::start();
        let backend = &self.locks.backend;
        let outcome = backend.run(location, routing, self.settings.failover, |connection| {
            exchange(connection, &location.keys)
        });
        stopwatch.tell(operation, || backend.name(location), outcome.as_ref().map(bytes));
        outcome
    }

    /// Where the session is. Its keys are made once.
    ///
    /// # Errors
    /// [`Error::Sid`]: in a cluster, where its keys cannot be in one slot.
    pub(super) fn location(&mut self, sid: Sid<'_>) -> Result<SessionLocation, Error> {
        self.sessions.update(sid, |entry| entry.location(&self.locks.backend))
    }

    /// A forked child leaves its parent's connections and its parent's lock
    /// alone, and makes its own.
    pub(super) fn leave_parent(&mut self) {
        let pid = std::process::id();
        if self.pid == pid {
            return;
        }
        self.pid = pid;
        self.sessions.inherit();
        std::mem::forget(self.acquisition.take());
        // It was parsed before, so it parses now.
        if let Ok((locks, _)) = (self.find)(&self.save_path) {
            std::mem::forget(std::mem::replace(&mut self.locks, locks));
        }
    }
}

pub(super) fn size(data: Option<&Vec<u8>>) -> usize {
    data.map_or(0, Vec::len)
}

pub(super) fn no_data<T>(_: &T) -> usize {
    0
}
