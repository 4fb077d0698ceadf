//! One open session: a method for each callback of PHP's save handler.
//!
//! Decides what is asked of the store and remembers what it said, so that no
//! question is asked twice. Sees no pointer and calls no PHP.

use std::sync::Arc;

use redis::RedisResult;

use crate::connections::{Process, Target};
use crate::error::Error;
use crate::key::{Keys, STANDALONE_PREFIX, Sid};
use crate::log::Stopwatch;
use crate::settings::{Settings, Ttl};
use crate::store::Store;

/// What an earlier callback of this request has read already.
struct Answer {
    sid: Sid,
    data: Option<Vec<u8>>,
}

/// The state behind one `session_start()`.
pub struct Handler {
    save_path: String,
    settings: Settings,
    target: Arc<Target>,
    pid: u32,
    /// Read ahead, by the check of an id, for the read that follows.
    answer: Option<Answer>,
    /// The session that was read, and whether it was there.
    current: Option<(Sid, bool)>,
    /// Why a check could not be made: the read that follows fails of it.
    failure: Option<Error>,
    /// What the read callback hands to PHP.
    pub data: Vec<u8>,
}

impl Handler {
    /// Makes sense of `save_path`; connects to nothing. The strings are
    /// warnings for the user.
    ///
    /// # Errors
    /// [`Error::SavePath`].
    pub fn open(save_path: &str, settings: Settings) -> Result<(Self, Vec<String>), Error> {
        let process = Process::current();
        let (target, warnings) = process.target(save_path)?;
        let handler = Self {
            save_path: save_path.to_owned(),
            settings,
            target,
            pid: std::process::id(),
            answer: None,
            current: None,
            failure: None,
            data: Vec::new(),
        };
        Ok((handler, warnings))
    }

    /// Opens again without a close in between, as `session_reset()` does.
    ///
    /// # Errors
    /// [`Error::SavePath`]; the handler stays as it was.
    pub fn reopen(&mut self, save_path: &str, settings: Settings) -> Result<Vec<String>, Error> {
        let (handler, warnings) = Self::open(save_path, settings)?;
        *self = handler;
        Ok(warnings)
    }

    /// Whether `sid` names a session. What is read on the way is kept for the
    /// read that follows, so strict mode costs no round trip.
    ///
    /// A server that does not answer is no reason to give a visitor a new id:
    /// the id passes, and the read fails.
    ///
    /// # Errors
    /// None of its own; see [`Handler::read`].
    pub fn validate(&mut self, sid: &[u8]) -> Result<bool, Error> {
        let Ok(sid) = Sid::new(sid) else { return Ok(false) };
        if let Some(answer) = self.answer.as_ref().filter(|answer| answer.sid == sid) {
            return Ok(answer.data.is_some());
        }
        let ttl = self.settings.ttl;
        match self.fetch(&sid, ttl) {
            Ok(data) => {
                let known = data.is_some();
                self.look_ahead(sid, data);
                Ok(known)
            }
            Err(error) => {
                self.failure = Some(error);
                Ok(true)
            }
        }
    }

    /// Whether the new id `sid` names no session yet. As in
    /// [`Handler::validate`], the answer is kept and a failure waits.
    ///
    /// # Errors
    /// [`Error::Sid`] if the generator makes ids that cannot be keys.
    pub fn is_unused(&mut self, sid: &[u8]) -> Result<bool, Error> {
        let sid = Sid::new(sid)?;
        if self.failure.is_some() {
            return Ok(true);
        }
        match self.ask("check", &sid, size, |store, keys| store.get(&keys.session)) {
            Ok(None) => {
                self.look_ahead(sid, None);
                Ok(true)
            }
            Ok(Some(_)) => Ok(false),
            Err(error) => {
                self.failure = Some(error);
                Ok(true)
            }
        }
    }

    /// Lets the read that follows fail with `error`.
    pub fn fail_read(&mut self, error: Error) {
        self.failure = Some(error);
    }

    /// Reads the session into `self.data`; empty where there is none.
    ///
    /// # Errors
    /// [`Error::Sid`], [`Error::Connect`], [`Error::Exchange`].
    pub fn read(&mut self, sid: &[u8], ttl: Ttl) -> Result<(), Error> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let sid = Sid::new(sid)?;
        let data = match self.answer.take() {
            Some(answer) if answer.sid == sid => answer.data,
            _ => self.fetch(&sid, ttl)?,
        };
        self.current = Some((sid, data.is_some()));
        self.data = data.unwrap_or_default();
        Ok(())
    }

    /// Stores the session for `ttl`, also an empty one.
    ///
    /// # Errors
    /// [`Error::Sid`], [`Error::Write`]. Nothing was stored, or it is not
    /// known whether it was.
    pub fn write(&mut self, sid: &[u8], data: &[u8], ttl: Ttl) -> Result<(), Error> {
        let sid = Sid::new(sid)?;
        self.ask("write", &sid, |()| data.len(), |store, keys| store.set(&keys.session, data, ttl))
            .map_err(Error::on_write)?;
        self.current = Some((sid, true));
        Ok(())
    }

    /// Starts the TTL of an unchanged session again. One that has vanished,
    /// or was never stored, is written.
    ///
    /// # Errors
    /// As for [`Handler::write`].
    pub fn update_timestamp(&mut self, sid: &[u8], data: &[u8], ttl: Ttl) -> Result<(), Error> {
        let parsed = Sid::new(sid)?;
        let found = match &self.current {
            Some((current, found)) if *current == parsed => *found,
            _ => true,
        };
        if !found {
            return self.write(sid, data, ttl);
        }
        if self.settings.early_refresh {
            return Ok(());
        }
        let touched = self
            .ask("touch", &parsed, |_| 0, |store, keys| store.touch(&keys.session, ttl))
            .map_err(Error::on_write)?;
        if touched { Ok(()) } else { self.write(sid, data, ttl) }
    }

    /// Removes the session. One that does not exist is removed already.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Exchange`].
    pub fn destroy(&mut self, sid: &[u8]) -> Result<(), Error> {
        let Ok(sid) = Sid::new(sid) else { return Ok(()) };
        self.ask("destroy", &sid, |()| 0, |store, keys| store.delete(&keys.session))
    }

    /// Ends the request's use of the session.
    pub fn close(&mut self) {
        self.target.end_request();
    }

    fn fetch(&mut self, sid: &Sid, ttl: Ttl) -> Result<Option<Vec<u8>>, Error> {
        match self.settings.early_refresh {
            true => {
                self.ask("read", sid, size, |store, keys| store.get_and_touch(&keys.session, ttl))
            }
            false => self.ask("read", sid, size, |store, keys| store.get(&keys.session)),
        }
    }

    fn look_ahead(&mut self, sid: Sid, data: Option<Vec<u8>>) {
        self.answer = Some(Answer { sid, data });
    }

    /// Runs one operation on the server that keeps `sid`, and tells the log
    /// of it. `bytes` says how much session data the answer stands for.
    fn ask<T>(
        &mut self,
        operation: &'static str,
        sid: &Sid,
        bytes: impl Fn(&T) -> usize,
        mut exchange: impl FnMut(&mut Store<'_>, &Keys) -> RedisResult<T>,
    ) -> Result<T, Error> {
        self.leave_parent();
        let endpoint = self.target.endpoint(sid.as_bytes());
        let prefix = endpoint.host().prefix.as_deref().unwrap_or(STANDALONE_PREFIX);
        let keys = Keys::new(prefix, sid);
        let stopwatch = Stopwatch::start();
        let answer = endpoint.run(|link| exchange(&mut Store(link), &keys));
        let (host, us) = (&endpoint.host().address, stopwatch.micros());
        match &answer {
            Ok(value) => {
                tracing::debug!(operation, %host, us, bytes = bytes(value), outcome = "ok");
            }
            Err(error) => tracing::warn!(operation, %host, us, outcome = %error),
        }
        answer
    }

    /// A forked child leaves its parent's connections alone and makes its own.
    fn leave_parent(&mut self) {
        let pid = std::process::id();
        if self.pid == pid {
            return;
        }
        self.pid = pid;
        // It was parsed before, so it parses now.
        if let Ok((target, _)) = Process::current().target(&self.save_path) {
            std::mem::forget(std::mem::replace(&mut self.target, target));
        }
    }
}

fn size(data: &Option<Vec<u8>>) -> usize {
    data.as_ref().map_or(0, Vec::len)
}
