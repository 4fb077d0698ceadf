//! How a handler reaches its session: asking, locking, letting go.

use std::sync::Arc;

use redis::RedisResult;

use super::Handler;
use crate::error::Error;
use crate::key::{Keys, Sid};
use crate::lease::Held;
use crate::link::Link;
use crate::lock::Token;
use crate::log::Stopwatch;
use crate::process::Process;
use crate::queue::{Outcome, Progress, Queue, Request};
use crate::scripts::{Scripts, Wanted};
use crate::settings::{LockPolicy, ReadOnly, Ttl};
use crate::store::Store;
use crate::topology::Access;

impl Handler {
    /// Reads, and takes the lock where there is one to take.
    pub(super) fn obtain(
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
    pub(super) fn queue_for(
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
                let (token, held) = match self.held_for(sid) {
                    Some(held) => (held.token.clone(), true),
                    None => (Token::new(&policy.script).map_err(Error::Random)?, false),
                };
                let place = self.target.place(sid)?;
                let failover = self.settings.failover;
                Queue::new(Request { place, token, held, wanted, read_only, refresh, failover })
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

    pub(super) fn hold(&mut self, sid: &Sid, request: Request, policy: &LockPolicy) {
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

    pub(super) fn held_for(&mut self, sid: &Sid) -> Option<Arc<Held>> {
        self.leave_parent();
        self.held.clone().filter(|held| held.sid == *sid)
    }

    pub(super) fn lost(&mut self) -> Error {
        self.held = None;
        self.warnings.push(
            "Session lock expired: it ended before this request did, or was removed; see \
             redis.session.lock_expire"
                .to_owned(),
        );
        Error::LockLost
    }

    pub(super) fn release(&mut self) -> Result<(), Error> {
        self.leave_parent();
        let Some(held) = self.held.take().filter(|_| !self.unreachable) else { return Ok(()) };
        self.ask("release", &held.sid, no_data, |link, keys| {
            Scripts(link).release(keys, &held.token)
        })
        .map(|_| ()) // one that is not ours any more needs no release
        .map_err(|error| Error::Release(Box::new(error)))
    }

    pub(super) fn leave_queue(&mut self) {
        if let Some((_, mut queue)) = self.queue.take() {
            queue.leave(&self.target);
        }
    }

    pub(super) fn refresh(&self, ttl: Ttl) -> Option<Ttl> {
        self.settings.early_refresh.then_some(ttl)
    }

    pub(super) fn fetch(
        &mut self,
        sid: &Sid,
        refresh: Option<Ttl>,
    ) -> Result<Option<Vec<u8>>, Error> {
        // Starting the TTL again is a write.
        let access = if refresh.is_none() { Access::Read } else { Access::Primary };
        self.ask_with(access, "read", sid, size, |link, keys| match refresh {
            Some(ttl) => Store(link).get_and_touch(&keys.session, ttl),
            None => Store(link).get(&keys.session),
        })
    }

    /// Runs one operation on the server that keeps `sid`, and tells the log
    /// of it, and of how many `bytes` of session data went with it.
    pub(super) fn ask<T>(
        &mut self,
        operation: &'static str,
        sid: &Sid,
        bytes: impl Fn(&T) -> usize,
        exchange: impl FnMut(&mut dyn Link, &Keys) -> RedisResult<T>,
    ) -> Result<T, Error> {
        self.ask_with(Access::Primary, operation, sid, bytes, exchange)
    }

    pub(super) fn ask_with<T>(
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
    pub(super) fn leave_parent(&mut self) {
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

pub(super) fn size(data: &Option<Vec<u8>>) -> usize {
    data.as_ref().map_or(0, Vec::len)
}

pub(super) fn no_data<T>(_: &T) -> usize {
    0
}
