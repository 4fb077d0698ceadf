//! Storing, keeping and removing a session.
//!
//! A logout wins: what was there when it was read and is gone now was
//! destroyed, or has come to its end, and is not created again. Only what was
//! new, or was never read through us, is created.

use std::sync::Arc;
use std::task::Poll;

use crate::client::connection_like::WaitForReplicas;
use crate::config::settings::{LockPolicy, ReadOnly, Refresh, Ttl};
use crate::error::Error;
use crate::key::Sid;
use crate::lock::held::HeldLock;
use crate::lock::scripts::{Existence, LockedOutcome, Scripts, WriteOptions};
use crate::session::access::no_data;
use crate::session::entry::{Denial, Entry};
use crate::session::handler::{Handler, WriteCause};
use crate::session::store::Store;

/// What came of sending a session's data.
struct Sent {
    outcome: Result<LockedOutcome, Error>,
    /// How often that was tried.
    tries: u32,
    /// How many replicas have them.
    confirmed: u32,
    /// Why the server would not tell how many.
    refusal: Option<String>,
}

impl Handler {
    /// Stores the session for `ttl`, also an empty one, and releases the lock:
    /// PHP will not write again, unless it is not PHP who calls. The lock of a
    /// session that was never read through us is taken first. Blocks for a step
    /// to that lock, about a second, and for the exchange.
    ///
    /// # Errors
    /// [`Error::Write`], [`Error::ReadOnly`], [`Error::NotRead`],
    /// [`Error::Vanished`], [`Error::LockLost`], [`Error::Unanswered`],
    /// [`Error::NotLocked`], [`Error::Unconfirmed`], and those of waiting for a
    /// lock.
    pub fn write(
        &mut self,
        sid: Sid<'_>,
        data: &[u8],
        ttl: Ttl,
        cause: WriteCause,
    ) -> Result<Poll<()>, Error> {
        if self.settings.read_only != ReadOnly::No {
            return Err(Error::ReadOnly);
        }
        self.leave_parent();
        let entry = self.sessions.get(sid);
        if entry.is_some_and(Entry::is_being_read) {
            return Err(Error::NotRead);
        }
        let denial = entry.and_then(Entry::denial);
        if cause == WriteCause::EndOfRequest && denial == Some(Denial::Inherited) {
            return Ok(Poll::Ready(())); // the parent writes it
        }
        let settings = self.settings.clone();
        let held = match &settings.lock {
            None => None,
            Some(policy) => match self.lock_to_write(sid, policy).map_err(Error::on_write)? {
                Poll::Ready(held) => Some(held),
                Poll::Pending => return Ok(Poll::Pending),
            },
        };
        let stored = self.encode(sid, data)?;
        let mut sent = self.send(sid, held.as_deref(), &stored, ttl);
        if let Ok(LockedOutcome::Lost) = sent.outcome
            && self.reclaim(sid)
        {
            sent = self.send(sid, held.as_deref(), &stored, ttl);
        }
        match sent.outcome.map_err(Error::on_write)? {
            LockedOutcome::Done if settings.proxied => {}
            LockedOutcome::Done => self.sessions.update(sid, Entry::note_release),
            LockedOutcome::Gone => return self.accept_vanished(sid, data).map(Poll::Ready),
            LockedOutcome::Lost if sent.tries > 1 => {
                self.sessions.update(sid, Entry::deny);
                return Err(Error::Unanswered);
            }
            LockedOutcome::Lost => return Err(self.deny_for_lost_lock(sid)),
        }
        let (confirmed, wanted) = (sent.confirmed, settings.wait_replicas);
        if confirmed < wanted {
            return Err(Error::Unconfirmed { confirmed, wanted, refusal: sent.refusal });
        }
        self.sessions.update(sid, Entry::store);
        Ok(Poll::Ready(()))
    }

    /// Sends what is to be stored. A session that was there when it was read must be there
    /// still.
    fn send(&mut self, sid: Sid<'_>, held: Option<&HeldLock>, data: &[u8], ttl: Ttl) -> Sent {
        let must_exist = self.sessions.get(sid).and_then(Entry::existed) == Some(true);
        let (keep_lock, replicas) = (self.settings.proxied, self.settings.wait_replicas);
        let (mut tries, mut confirmed, mut refusal) = (0, 0, None);
        let outcome = self.execute(
            "write",
            sid,
            |_| data.len(),
            |connection, keys| {
                tries += 1;
                let mut connection = WaitForReplicas {
                    connection,
                    replicas,
                    limit: None,
                    confirmed: 0,
                    refusal: None,
                };
                let outcome = match held {
                    None if must_exist => Store(&mut connection).replace(&keys.session, data, ttl),
                    None => Store(&mut connection)
                        .set(&keys.session, data, ttl)
                        .map(|()| LockedOutcome::Done),
                    Some(held) => {
                        let is_repeat = tries > 1;
                        let options = WriteOptions { ttl, keep_lock, is_repeat, must_exist };
                        Scripts(&mut connection).write(keys, &held.token, options, data)
                    }
                };
                (confirmed, refusal) = (connection.confirmed, connection.refusal);
                outcome
            },
        );
        Sent { outcome, tries, confirmed, refusal }
    }

    /// The lock to write `sid` with. Takes it where it was not asked for, which
    /// blocks for at most about a second.
    fn lock_to_write(
        &mut self,
        sid: Sid<'_>,
        policy: &LockPolicy,
    ) -> Result<Poll<Arc<HeldLock>>, Error> {
        if let Some(held) = self.held_lock(sid) {
            return Ok(Poll::Ready(held));
        }
        if self.sessions.get(sid).and_then(Entry::denial).is_some() {
            return Err(Error::NotLocked);
        }
        match self.step_to_lock(sid, Existence::Any, Refresh::Never, policy)? {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(_) => self.held_lock(sid).ok_or(Error::NotLocked).map(Poll::Ready),
        }
    }

    /// The session was there when it was read, and is gone. Where `data` are
    /// what it was, nothing is lost with it.
    fn accept_vanished(&mut self, sid: Sid<'_>, data: &[u8]) -> Result<(), Error> {
        if !self.settings.proxied {
            self.sessions.update(sid, Entry::note_release);
        }
        match self.sessions.get(sid).is_some_and(|entry| entry.is_unchanged(data)) {
            true => Ok(()),
            false => Err(Error::Vanished),
        }
    }

    /// Starts the TTL of an unchanged session again, and releases the lock. One
    /// that was never stored is written; one that has vanished is not.
    ///
    /// # Errors
    /// As for [`Handler::write`].
    pub fn update_timestamp(
        &mut self,
        sid: Sid<'_>,
        data: &[u8],
        ttl: Ttl,
    ) -> Result<Poll<()>, Error> {
        self.leave_parent();
        let entry = self.sessions.get(sid);
        let existed = entry.and_then(Entry::existed);
        let is_denied = entry.and_then(Entry::denial).is_some();
        let mut may_write = self.settings.read_only == ReadOnly::No && !is_denied;
        if existed == Some(false) && may_write {
            return self.write(sid, data, ttl, WriteCause::Page);
        }
        let mut is_kept = false;
        if may_write && entry.is_some_and(|entry| entry.outdated().is_some()) {
            is_kept = self.encrypt_anew(sid, data, ttl)?;
        }
        let ttl_to_set = (!self.settings.early_refresh).then_some(ttl);
        if may_write && let Some(held) = self.held_lock(sid) {
            if self.touch_locked(sid, &held, ttl_to_set)? {
                return Ok(Poll::Ready(()));
            }
            may_write = false;
        }
        let Some(ttl) = ttl_to_set.filter(|_| !is_kept) else { return Ok(Poll::Ready(())) };
        let touched = self
            .execute("touch", sid, no_data, |connection, keys| {
                Store(connection).touch(&keys.session, ttl)
            })
            .map_err(Error::on_write)?;
        if !touched && may_write && existed.is_none() {
            return self.write(sid, data, ttl, WriteCause::Page);
        }
        Ok(Poll::Ready(()))
    }

    /// Stores an unchanged session once more, encrypted with the key of now. False where
    /// that was left alone: it is not what it was, or the server permits no scripts.
    fn encrypt_anew(&mut self, sid: Sid<'_>, data: &[u8], ttl: Ttl) -> Result<bool, Error> {
        let stored = self.encode(sid, data)?;
        let before = self.sessions.get(sid).and_then(Entry::outdated).unwrap_or_default().to_vec();
        let outcome = self.execute(
            "write",
            sid,
            |_| stored.len(),
            |connection, keys| {
                Store(connection).replace_unchanged(&keys.session, &before, &stored, ttl)
            },
        );
        match outcome {
            Err(Error::Refused { .. }) => Ok(false),
            outcome => outcome.map_err(Error::on_write),
        }
    }

    /// Starts the TTL again with the lock, and releases that. False where the lock
    /// was lost: nothing was changed, so nothing is lost with it.
    fn touch_locked(
        &mut self,
        sid: Sid<'_>,
        held: &HeldLock,
        ttl: Option<Ttl>,
    ) -> Result<bool, Error> {
        let keep = self.settings.proxied;
        let outcome = self.execute("touch", sid, no_data, |connection, keys| {
            Scripts(connection).touch(keys, &held.token, ttl, keep)
        });
        match outcome.map_err(Error::on_write)? {
            LockedOutcome::Done | LockedOutcome::Gone if keep => {}
            LockedOutcome::Done | LockedOutcome::Gone => {
                self.sessions.update(sid, Entry::note_release);
            }
            LockedOutcome::Lost => {
                self.sessions.update(sid, Entry::deny);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ends a wait of [`Handler::write`] or [`Handler::update_timestamp`].
    ///
    /// # Errors
    /// Always [`Error::Interrupted`].
    pub fn interrupt_write(&mut self) -> Result<(), Error> {
        self.cancel_acquisition();
        Err(Error::Interrupted)
    }

    /// Removes the session, then releases the lock. One that does not exist is
    /// removed already. What the request writes after that is a new one.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Exchange`], [`Error::Refused`].
    pub fn destroy(&mut self, sid: Sid<'_>) -> Result<(), Error> {
        match self.held_lock(sid) {
            Some(held) => {
                self.execute("destroy", sid, no_data, |connection, keys| {
                    Scripts(connection).destroy(keys, &held.token)
                })?;
                self.sessions.update(sid, Entry::note_release);
            }
            None => {
                self.execute("destroy", sid, no_data, |connection, keys| {
                    Store(connection).delete(&keys.session)
                })?;
            }
        }
        self.sessions.forget(sid);
        Ok(())
    }
}
