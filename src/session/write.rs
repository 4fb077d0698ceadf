//! Storing, keeping and removing a session.
//!
//! A logout wins: what was there when it was read and is gone now was
//! destroyed, or has come to its end, and is not created again. Only what was
//! new, or was never read through us, is created.

use std::sync::Arc;

use crate::client::link::WaitForReplicas;
use crate::config::settings::{LockPolicy, ReadOnly, Refresh, Ttl};
use crate::error::Error;
use crate::key::Sid;
use crate::lock::held::HeldLock;
use crate::lock::scripts::{Existence, LockedOutcome, Scripts, WriteOptions};
use crate::session::access::no_data;
use crate::session::entry::{Lock, Snapshot, Stage};
use crate::session::handler::Handler;
use crate::session::store::Store;
use std::task::Poll;

impl Handler {
    /// Stores the session for `ttl`, also an empty one, and lets go of the
    /// lock: PHP will not write again, unless it is not PHP who calls. The
    /// lock of a session that was never read through us is taken first.
    ///
    /// # Errors
    /// [`Error::Sid`], [`Error::Write`], [`Error::ReadOnly`], [`Error::NotRead`],
    /// [`Error::Vanished`], [`Error::LockLost`], [`Error::Unanswered`],
    /// [`Error::NotLocked`], and those of waiting for a lock.
    pub fn write(&mut self, sid: &[u8], data: &[u8], ttl: Ttl) -> Result<Poll<()>, Error> {
        let sid = Sid::new(sid)?;
        if self.settings.read_only != ReadOnly::No {
            return Err(Error::ReadOnly);
        }
        self.leave_parent();
        let entry = self.sessions.get(&sid);
        if entry.is_some_and(|entry| entry.is_being_read()) {
            return Err(Error::NotRead);
        }
        if self.is_ending && entry.is_some_and(|entry| matches!(entry.lock, Lock::Inherited)) {
            return Ok(Poll::Ready(())); // the parent writes it
        }
        let known = entry.and_then(|entry| entry.existed()) == Some(true);
        let settings = self.settings.clone();
        let held = match &settings.lock {
            None => None,
            Some(policy) => match self.lock_to_write(&sid, policy).map_err(Error::on_write)? {
                Poll::Ready(held) => Some(held),
                Poll::Pending => return Ok(Poll::Pending),
            },
        };
        let keep = settings.proxied;
        let (kept, tries, (confirmed, refusal)) =
            self.store(&sid, held.as_deref(), known, data, ttl);
        match kept.map_err(Error::on_write)? {
            LockedOutcome::Done if keep => {}
            LockedOutcome::Done => self.sessions.unlocked(&sid),
            LockedOutcome::Gone => return self.vanished(&sid, data).map(Poll::Ready),
            LockedOutcome::Lost if self.reclaim(&sid) => {
                return self.write(sid.as_bytes(), data, ttl);
            }
            LockedOutcome::Lost if tries > 1 => {
                self.sessions.set_lock(&sid, Lock::Barred);
                return Err(Error::Unanswered);
            }
            LockedOutcome::Lost => return Err(self.lost(&sid)),
        }
        let wanted = settings.wait_replicas;
        if confirmed < wanted {
            return Err(Error::Unconfirmed { confirmed, wanted, refusal });
        }
        let stored = Stage::Known { existed: true, snapshot: Snapshot::None };
        self.sessions.set_stage(&sid, stored);
        Ok(Poll::Ready(()))
    }

    /// Sends the session's data. `known` says that it must be there already.
    /// Returns how often that was tried, how many replicas have them, and why
    /// the server would not tell.
    fn store(
        &mut self,
        sid: &Sid,
        held: Option<&HeldLock>,
        known: bool,
        data: &[u8],
        ttl: Ttl,
    ) -> (Result<LockedOutcome, Error>, u32, (u32, Option<String>)) {
        let (keep, replicas) = (self.settings.proxied, self.settings.wait_replicas);
        let (mut tries, mut confirmed) = (0, (0, None));
        let kept = self.ask(
            "write",
            sid,
            |_| data.len(),
            |link, keys| {
                tries += 1;
                let mut link =
                    WaitForReplicas { link, replicas, limit: None, confirmed: 0, refusal: None };
                let kept = match held {
                    None if known => Store(&mut link).replace(&keys.session, data, ttl),
                    None => {
                        Store(&mut link).set(&keys.session, data, ttl).map(|()| LockedOutcome::Done)
                    }
                    Some(held) => {
                        let storing = WriteOptions {
                            ttl,
                            keep_lock: keep,
                            is_repeat: tries > 1,
                            must_exist: known,
                        };
                        Scripts(&mut link).write(keys, &held.token, storing, data)
                    }
                };
                confirmed = (link.confirmed, link.refusal);
                kept
            },
        );
        (kept, tries, confirmed)
    }

    /// The lock to write `sid` with.
    fn lock_to_write(
        &mut self,
        sid: &Sid,
        policy: &LockPolicy,
    ) -> Result<Poll<Arc<HeldLock>>, Error> {
        let lock = |handler: &Self| match handler.sessions.get(sid).map(|entry| &entry.lock) {
            Some(Lock::Held(held)) => Some(Ok(held.clone())),
            Some(Lock::Barred | Lock::Inherited) => Some(Err(Error::NotLocked)),
            Some(Lock::No) | None => None,
        };
        if let Some(lock) = lock(self) {
            return lock.map(Poll::Ready);
        }
        match self.queue_for(sid, Existence::Any, Refresh::Never, policy)? {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(_) => lock(self).unwrap_or(Err(Error::NotLocked)).map(Poll::Ready),
        }
    }

    /// The session was there when it was read, and is gone. Where `data` are
    /// what it was, nothing is lost with it.
    fn vanished(&mut self, sid: &Sid, data: &[u8]) -> Result<(), Error> {
        if !self.settings.proxied {
            self.sessions.unlocked(sid);
        }
        match self.sessions.get(sid).map(|entry| &entry.stage) {
            Some(Stage::Known { snapshot, .. }) if snapshot.is(data) => Ok(()),
            _ => Err(Error::Vanished),
        }
    }

    /// Starts the TTL of an unchanged session again, and lets go of the lock.
    /// One that was never stored is written; one that has vanished is not.
    ///
    /// # Errors
    /// As for [`Handler::write`].
    pub fn update_timestamp(
        &mut self,
        sid: &[u8],
        data: &[u8],
        ttl: Ttl,
    ) -> Result<Poll<()>, Error> {
        let parsed = Sid::new(sid)?;
        self.leave_parent();
        let (existed, lock) = match self.sessions.get(&parsed) {
            Some(entry) => (entry.existed(), entry.lock.clone()),
            None => (None, Lock::No),
        };
        let mut may_write = self.settings.read_only == ReadOnly::No
            && !matches!(lock, Lock::Barred | Lock::Inherited);
        if existed == Some(false) && may_write {
            return self.write(sid, data, ttl);
        }
        let ttl_to_set = (!self.settings.early_refresh).then_some(ttl);
        if may_write && let Lock::Held(held) = lock {
            let keep = self.settings.proxied;
            let kept = self.ask("touch", &parsed, no_data, |link, keys| {
                Scripts(link).touch(keys, &held.token, ttl_to_set, keep)
            });
            match kept.map_err(Error::on_write)? {
                LockedOutcome::Done | LockedOutcome::Gone if keep => return Ok(Poll::Ready(())),
                LockedOutcome::Done | LockedOutcome::Gone => {
                    self.sessions.unlocked(&parsed);
                    return Ok(Poll::Ready(()));
                }
                LockedOutcome::Lost => {
                    // Nothing was changed, so nothing is lost with the lock.
                    self.sessions.set_lock(&parsed, Lock::Barred);
                    may_write = false;
                }
            }
        }
        let Some(ttl) = ttl_to_set else { return Ok(Poll::Ready(())) };
        let touched = self
            .ask("touch", &parsed, no_data, |link, keys| Store(link).touch(&keys.session, ttl))
            .map_err(Error::on_write)?;
        if !touched && may_write && existed.is_none() {
            return self.write(sid, data, ttl);
        }
        Ok(Poll::Ready(()))
    }

    /// Ends a wait of [`Handler::write`] or [`Handler::update_timestamp`].
    ///
    /// # Errors
    /// Always [`Error::Interrupted`].
    pub fn interrupt_write(&mut self) -> Result<(), Error> {
        self.leave_queue();
        Err(Error::Interrupted)
    }

    /// Removes the session, then lets go of the lock. One that does not exist
    /// is removed already. What the request writes after that is a new one.
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
                self.sessions.unlocked(&sid);
            }
            None => {
                self.ask("destroy", &sid, no_data, |link, keys| Store(link).delete(&keys.session))?;
            }
        }
        self.sessions.forget(&sid);
        Ok(())
    }
}
