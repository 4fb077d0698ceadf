//! What the scripts are given, as values and as bytes.

use std::time::Duration;

use crate::config::settings::{Refresh, Ttl};

/// How long the next waiter has to claim a lock that is handed to it. If it dies
/// in that time, the others wait until their next heartbeat, newcomers until the
/// window is over.
pub const CLAIM_WINDOW: Duration = Duration::from_millis(500);

/// How a session is stored.
#[derive(Debug, Clone, Copy)]
pub struct WriteOptions {
    /// The session's time to live.
    pub ttl: Ttl,
    /// Whether the lock is kept.
    pub keep_lock: bool,
    /// Whether this was sent before and not answered.
    pub is_repeat: bool,
    /// Whether the session must exist: it did when it was read, so one that is
    /// gone was destroyed, or its time to live is over.
    pub must_exist: bool,
}

pub(super) fn millis(time: Duration) -> Vec<u8> {
    number(time.as_millis())
}

pub(super) fn seconds(ttl: Option<Ttl>) -> Vec<u8> {
    number(ttl.map_or(0, Ttl::seconds))
}

/// As `refresh` in `lua/common.lua` takes it.
pub(super) fn refresh_arg(refresh: impl Into<Refresh>) -> Vec<u8> {
    number(match refresh.into() {
        Refresh::Never => "0".to_owned(),
        Refresh::Always(ttl) => ttl.seconds().to_string(),
        Refresh::Below(ttl, short) => format!("{}<{}", ttl.seconds(), short.as_millis()),
    })
}

pub(super) fn flag(value: bool) -> &'static [u8] {
    if value { b"1" } else { b"0" }
}

pub(super) fn claim_window(keep: bool) -> Vec<u8> {
    millis(if keep { Duration::ZERO } else { CLAIM_WINDOW })
}

pub(super) fn number(value: impl ToString) -> Vec<u8> {
    value.to_string().into_bytes()
}
