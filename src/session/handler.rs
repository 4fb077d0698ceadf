//! One open session: a method for each callback of PHP's save handler.
//!
//! Decides what is asked of the servers and remembers what they said, so that
//! no question is asked twice. Sees no pointer and calls no PHP. What it
//! knows of each session is in `entry`, how it stores in `write`, how it reaches
//! the servers in `access`. A method that returns [`Poll`] blocks for at most
//! about a second, and is called again while it is pending.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::config::save_path::ParseError;
use crate::config::settings::{Refresh, Settings, Ttl};
use crate::error::Error;
use crate::key::{Sid, SidBuf};
use crate::lock::acquire::{Acquired, Acquisition};
use crate::lock::locks::Locks;
use crate::lock::scripts::Existence;
use crate::session::entry::{Entries, Entry};

/// What a save handler's name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandlerKind {
    /// Whatever the save path says: `redis` and `redis_session`.
    Anything,
    /// Clusters: `rediscluster`.
    Clusters,
}

/// Who wants a session to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteCause {
    /// The page.
    Page,
    /// PHP, which ends the request and writes unasked.
    EndOfRequest,
}

/// Where the sessions of a save path are kept and locked, and what is to be
/// warned of. It is asked again after a fork, as a child has servers of its own.
pub type FindLocks = fn(save_path: &str) -> Result<(Arc<Locks>, Vec<String>), ParseError>;

/// The state of one `session_start()`.
pub struct Handler {
    pub(super) save_path: String,
    pub(super) settings: Arc<Settings>,
    pub(super) locks: Arc<Locks>,
    pub(super) find: FindLocks,
    pub(super) pid: u32,
    /// On the way to the lock of that session.
    pub(super) acquisition: Option<(SidBuf, Acquisition)>,
    /// What is known of the sessions, and their locks.
    pub(super) sessions: Entries,
    /// What the user should know of what went on.
    pub warnings: Vec<String>,
}

impl Handler {
    /// Makes sense of `save_path`; connects to nothing.
    ///
    /// # Errors
    /// [`Error::SavePath`], [`Error::NoSeeds`].
    pub fn open(
        kind: HandlerKind,
        save_path: &str,
        settings: Settings,
        find: FindLocks,
    ) -> Result<Self, Error> {
        let (locks, warnings) = find(save_path)?;
        if kind == HandlerKind::Clusters && !locks.backend.is_cluster() {
            return Err(Error::NoSeeds);
        }
        Ok(Self {
            save_path: save_path.to_owned(),
            settings: Arc::new(settings),
            locks,
            find,
            pid: std::process::id(),
            acquisition: None,
            sessions: Entries::default(),
            warnings,
        })
    }

    /// Opens again without a close in between, as `session_reset()` does. The
    /// locks stay with us.
    ///
    /// # Errors
    /// As for [`Handler::open`]; the handler stays as it was.
    pub fn reopen(
        &mut self,
        kind: HandlerKind,
        save_path: &str,
        settings: Settings,
    ) -> Result<(), Error> {
        let fresh = Self::open(kind, save_path, settings, self.find)?;
        // What ran in the middle of a wait has ended it.
        self.cancel_acquisition();
        if fresh.save_path != self.save_path {
            // The lock of a session elsewhere is unusable here.
            self.close()?;
        }
        let sessions = std::mem::take(&mut self.sessions).only_locked();
        *self = Self { sessions, ..fresh };
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
    pub fn validate(&mut self, sid: Sid<'_>) -> Result<Poll<bool>, Error> {
        match self.sessions.get(sid).and_then(Entry::lookahead) {
            Some(Ok(data)) => return Ok(Poll::Ready(data.is_some())),
            Some(Err(_)) => return Ok(Poll::Ready(true)),
            None => {}
        }
        let found = if self.sessions.any_read() {
            // An id made in the middle of another session is only looked at.
            self.read_without_lock(sid, Refresh::Never).map(|data| Poll::Ready(data.is_some()))
        } else {
            self.read_ahead(sid)
        };
        found.or_else(|error| {
            self.fail_read(sid, error);
            Ok(Poll::Ready(true))
        })
    }

    /// Reads a session if it is there, for the read that follows.
    fn read_ahead(&mut self, sid: Sid<'_>) -> Result<Poll<bool>, Error> {
        let refresh = self.refresh(self.settings.ttl);
        Ok(match self.acquire_or_read(sid, Existence::Known, refresh)? {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Acquired::ExistenceMismatch) => Poll::Ready(false),
            Poll::Ready(Acquired::Session(data)) => {
                // It may have been removed in this very moment.
                let known = data.is_some();
                self.sessions.update(sid, |entry| entry.read_ahead(Ok(data)));
                Poll::Ready(known)
            }
        })
    }

    /// Ends a wait of [`Handler::validate`]: the id passes, the read fails.
    ///
    /// # Errors
    /// None.
    pub fn interrupt_validation(&mut self) -> Result<bool, Error> {
        if let Some(sid) = self.cancel_acquisition() {
            self.fail_read(sid.as_sid(), Error::Interrupted);
        }
        Ok(true)
    }

    /// Locks and reads the new id `sid` unless it names a session already: then
    /// returns false. As in [`Handler::validate`], what was read is kept and a
    /// failure waits.
    pub fn claim_unused(&mut self, sid: Sid<'_>) -> bool {
        if self.sessions.any_read() || self.sessions.any_check_failed() {
            return true; // PHP checks it, or nothing will come of it
        }
        let lookahead = match self.acquire_or_read(sid, Existence::Unused, Refresh::Never) {
            Ok(Poll::Ready(Acquired::Session(data))) => Ok(data),
            Ok(Poll::Ready(Acquired::ExistenceMismatch) | Poll::Pending)
            | Err(Error::Busy { .. }) => return false,
            Err(error) => Err(error),
        };
        self.sessions.update(sid, |entry| entry.read_ahead(lookahead));
        true
    }

    /// Lets the read of `sid` that follows fail with `error`.
    pub fn fail_read(&mut self, sid: Sid<'_>, error: Error) {
        self.sessions.update(sid, |entry| entry.read_ahead(Err(error)));
    }

    /// Reads the session, and leaves it [`Handler::parked`].
    ///
    /// # Errors
    /// Any but those of writing.
    pub fn read(&mut self, sid: Sid<'_>, ttl: Ttl) -> Result<Poll<()>, Error> {
        let data = match self.sessions.begin_read(sid) {
            Some(lookahead) => lookahead?,
            None => match self.acquire_or_read(sid, Existence::Any, self.refresh(ttl))? {
                Poll::Ready(Acquired::Session(data)) => data,
                Poll::Ready(Acquired::ExistenceMismatch) => None,
                Poll::Pending => return Ok(Poll::Pending),
            },
        };
        let data = data.map(|stored| self.decode(sid, stored)).transpose()?;
        self.sessions.update(sid, |entry| entry.park(data));
        Ok(Poll::Ready(()))
    }

    /// The data of the session that was read last, until [`Handler::handed_over`];
    /// empty where there is no such session. None if no read has succeeded since.
    pub fn parked(&self) -> Option<&[u8]> {
        self.sessions.parked()
    }

    /// PHP has its copy of what is [`Handler::parked`].
    pub fn handed_over(&mut self) {
        let changing = self.locks.backend.is_changing();
        self.sessions.hand_over(self.settings.writes_unchanged, changing);
    }

    /// Ends a wait of [`Handler::read`].
    ///
    /// # Errors
    /// Always [`Error::Interrupted`].
    pub fn interrupt_read(&mut self) -> Result<(), Error> {
        self.cancel_acquisition();
        Err(Error::Interrupted)
    }

    /// Ends the request's use of the session: releases what is still held.
    ///
    /// # Errors
    /// [`Error::Release`]: the lock stays until its lease ends.
    pub fn close(&mut self) -> Result<(), Error> {
        self.leave_parent();
        self.cancel_acquisition();
        let released = self.release_all();
        self.locks.backend.end_request();
        released
    }

    /// Ends it where PHP has not closed it, after the request: as
    /// [`Handler::close`], but asks a server once and waits for no failover.
    ///
    /// # Errors
    /// As for [`Handler::close`].
    pub fn abandon(&mut self) -> Result<(), Error> {
        Arc::make_mut(&mut self.settings).failover = Duration::ZERO;
        self.close()
    }
}
