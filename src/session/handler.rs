//! One open session: a method for each callback of PHP's save handler.
//!
//! Decides what is asked of the servers and remembers what they said, so that
//! no question is asked twice. Sees no pointer and calls no PHP. What it
//! knows is in `entry`, how it stores in `write`, how it reaches the servers
//! in `access`.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::config::save_path::ParseError;
use crate::config::settings::{Refresh, Settings, Ttl};
use crate::error::Error;
use crate::key::Sid;
use crate::lock::acquire::{Acquired, Acquisition};
use crate::lock::locks::Locks;
use crate::lock::scripts::Existence;
use crate::session::entry::{Lock, Sessions, Snapshot, Stage};
use crate::session::stored_form::{self, Form};

/// What a save handler's name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandlerKind {
    /// Whatever the save path says: `redis` and `redis_session`.
    Anything,
    /// Clusters: `rediscluster`.
    Clusters,
}

/// Where the sessions of a save path are kept and locked, and what is to be
/// warned of. It is asked again after a fork, as a child has servers of its own.
pub type FindLocks = fn(save_path: &str) -> Result<(Arc<Locks>, Vec<String>), ParseError>;

/// The state behind one `session_start()`.
pub struct Handler {
    pub(super) save_path: String,
    pub(super) settings: Arc<Settings>,
    pub(super) locks: Arc<Locks>,
    pub(super) find: FindLocks,
    pub(super) pid: u32,
    /// On the way to a lock.
    pub(super) queue: Option<(Sid, Acquisition)>,
    /// What is known of the sessions, and their locks.
    pub(super) sessions: Sessions,
    /// Whether PHP is ending the request, so that it writes unasked.
    pub is_ending: bool,
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
            queue: None,
            sessions: Sessions::default(),
            is_ending: false,
            data: Vec::new(),
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
        self.leave_queue();
        if fresh.save_path != self.save_path {
            // The lock of a session elsewhere is of no use here.
            self.close()?;
        }
        // Called by a handler of PHP's in the middle of a wait.
        self.leave_queue();
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
    pub fn validate(&mut self, sid: &[u8]) -> Result<Poll<bool>, Error> {
        let Ok(sid) = Sid::new(sid) else { return Ok(Poll::Ready(false)) };
        match self.sessions.get(&sid).map(|entry| &entry.stage) {
            Some(Stage::Ahead(data)) => return Ok(Poll::Ready(data.is_some())),
            Some(Stage::Failed(_)) => return Ok(Poll::Ready(true)),
            _ => {}
        }
        let found = if self.sessions.any_read() {
            // An id made in the middle of another session is only looked at.
            self.fetch(&sid, Refresh::Never).map(|data| Poll::Ready(data.is_some()))
        } else {
            self.read_ahead(&sid)
        };
        found.or_else(|error| {
            self.sessions.set_stage(&sid, Stage::Failed(error));
            Ok(Poll::Ready(true))
        })
    }

    /// Reads a session if it is there, for the read that follows.
    fn read_ahead(&mut self, sid: &Sid) -> Result<Poll<bool>, Error> {
        Ok(match self.obtain(sid, Existence::Known, self.refresh(self.settings.ttl))? {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Acquired::ExistenceMismatch) => Poll::Ready(false),
            Poll::Ready(Acquired::Session(data)) => {
                // It may have been removed in this very moment.
                let known = data.is_some();
                self.sessions.set_stage(sid, Stage::Ahead(data));
                Poll::Ready(known)
            }
        })
    }

    /// Ends a wait of [`Handler::validate`]: the id passes, the read fails.
    ///
    /// # Errors
    /// None.
    pub fn interrupt_validation(&mut self) -> Result<bool, Error> {
        if let Some(sid) = self.leave_queue() {
            self.sessions.set_stage(&sid, Stage::Failed(Error::Interrupted));
        }
        Ok(true)
    }

    /// Whether the new id `sid` names no session yet. As in
    /// [`Handler::validate`], the answer is kept and a failure waits.
    ///
    /// # Errors
    /// [`Error::Sid`] if the generator makes ids that cannot be keys.
    pub fn is_unused(&mut self, sid: &[u8]) -> Result<bool, Error> {
        let sid = Sid::new(sid)?;
        if self.sessions.any_read() || self.sessions.any_failed() {
            return Ok(true); // PHP checks it, or nothing will come of it
        }
        let stage = match self.obtain(&sid, Existence::Unused, Refresh::Never) {
            Ok(Poll::Ready(Acquired::Session(data))) => Stage::Ahead(data),
            Ok(Poll::Ready(Acquired::ExistenceMismatch) | Poll::Pending) => return Ok(false),
            Err(Error::Busy { .. }) => return Ok(false),
            Err(error) => Stage::Failed(error),
        };
        self.sessions.set_stage(&sid, stage);
        Ok(true)
    }

    /// Lets the read of `sid` that follows fail with `error`.
    ///
    /// # Errors
    /// [`Error::Sid`].
    pub fn fail_read(&mut self, sid: &[u8], error: Error) -> Result<(), Error> {
        self.sessions.set_stage(&Sid::new(sid)?, Stage::Failed(error));
        Ok(())
    }

    /// Reads the session into `self.data`; empty where there is none.
    ///
    /// # Errors
    /// Any but those of writing.
    pub fn read(&mut self, sid: &[u8], ttl: Ttl) -> Result<Poll<()>, Error> {
        let sid = Sid::new(sid)?;
        let data = match self.sessions.begin_read(&sid) {
            Stage::Failed(error) => return Err(error),
            Stage::Ahead(data) => data,
            _ => match self.obtain(&sid, Existence::Any, self.refresh(ttl))? {
                Poll::Ready(Acquired::Session(data)) => data,
                Poll::Ready(Acquired::ExistenceMismatch) => None,
                Poll::Pending => return Ok(Poll::Pending),
            },
        };
        if let Some(data) = &data {
            self.refuse_compressed(&sid, data)?;
        }
        self.sessions.set_stage(&sid, Stage::Parked { existed: data.is_some() });
        self.data = data.unwrap_or_default();
        Ok(Poll::Ready(()))
    }

    /// PHP would make nonsense of what is compressed, and store that.
    fn refuse_compressed(&self, sid: &Sid, data: &[u8]) -> Result<(), Error> {
        let host =
            || self.locks.backend.location(sid).map(|location| self.locks.backend.name(&location));
        match stored_form::form(data) {
            Form::Plain => Ok(()),
            Form::Compressed(codec) => {
                Err(Error::Compressed { host: host()?, codec: codec.to_string() })
            }
            Form::Damaged(codec) => Err(Error::Damaged { host: host()?, codec: codec.to_string() }),
        }
    }

    /// PHP has its copy of `self.data`.
    pub fn handed_over(&mut self) {
        let data = std::mem::take(&mut self.data);
        let Some(entry) = self.sessions.parked() else { return };
        let Some(existed) = entry.existed() else { return };
        let snapshot = match entry.lock {
            Lock::Held(_) if self.locks.backend.is_changing() => Snapshot::Data(data),
            _ if self.settings.writes_unchanged && existed => Snapshot::digest_of(&data),
            _ => Snapshot::None,
        };
        entry.stage = Stage::Known { existed, snapshot };
    }

    /// Ends a wait of [`Handler::read`].
    ///
    /// # Errors
    /// Always [`Error::Interrupted`].
    pub fn interrupt_read(&mut self) -> Result<(), Error> {
        self.leave_queue();
        Err(Error::Interrupted)
    }

    /// Ends the request's use of the session: lets go of what is left.
    ///
    /// # Errors
    /// [`Error::Release`]: the lock stays until its lease ends.
    pub fn close(&mut self) -> Result<(), Error> {
        self.leave_parent();
        self.leave_queue();
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
