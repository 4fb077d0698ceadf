//! Arguments of the scripts, as bytes.

use std::time::Duration;

use super::CLAIM_WINDOW;
use crate::config::settings::{Refresh, Ttl};

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
