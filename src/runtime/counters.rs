//! How the connections of this process have fared, and what it has read: what phpinfo() shows.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use crate::error::Error;

/// Counted since the process began.
#[derive(Default)]
pub struct Counters {
    /// Connections that exist now.
    pub open: AtomicU64,
    /// Exchanges on a connection that was there already.
    pub reused: AtomicU64,
    /// Connections found dead and replaced.
    pub replaced: AtomicU64,
    /// Sessions that were read unencrypted, though encryption is on.
    pub plain_sessions: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Counters {
    /// Remembers `error` for phpinfo(). Errors hold no secrets.
    pub fn note(&self, error: &Error) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }

    /// The last error that [`Counters::note`] was told of.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
