//! What the INI says, as values: units and defaults stand here and nowhere
//! else. Reading the INI itself is `php::ini`'s business.

use std::time::Duration;

/// Longest time to live, in seconds: Redis and phpredis stop at 2^31 - 1.
const MAX_TTL: i64 = i32::MAX as i64;
/// Time to live where `session.gc_maxlifetime` is no time at all: PHP's default.
const DEFAULT_TTL: i64 = 1440;

/// Everything a session needs to know, read once when it is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `redis.session.early_refresh`: the read, not the write, starts the TTL
    /// again. Defaults to false.
    pub early_refresh: bool,
    /// `session.gc_maxlifetime` for the calls that PHP does not tell it to.
    pub ttl: Ttl,
    /// Whether another save handler calls ours (a `SessionHandler` subclass):
    /// then it may write more than once before it closes.
    pub proxied: bool,
}

/// A session's time to live in whole seconds, always one Redis accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl(i64);

/// Why `session.gc_maxlifetime` was not used as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TtlNotice {
    /// Zero or less would delete the session at once.
    #[error("session.gc_maxlifetime is {0}, which keeps no session; using 1440 seconds")]
    TooShort(i64),
    /// More than Redis can count.
    #[error("session.gc_maxlifetime is {0}, which is too long; using 2147483647 seconds")]
    TooLong(i64),
}

impl Ttl {
    /// From `session.gc_maxlifetime`, in seconds. The notice is for the user
    /// when another value had to be taken.
    pub fn from_maxlifetime(seconds: i64) -> (Self, Option<TtlNotice>) {
        match seconds {
            ..=0 => (Self(DEFAULT_TTL), Some(TtlNotice::TooShort(seconds))),
            1..=MAX_TTL => (Self(seconds), None),
            _ => (Self(MAX_TTL), Some(TtlNotice::TooLong(seconds))),
        }
    }

    /// Whole seconds, at least 1.
    pub fn seconds(self) -> i64 {
        self.0
    }
}

impl From<Ttl> for Duration {
    fn from(ttl: Ttl) -> Self {
        Duration::from_secs(ttl.0.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_that_redis_cannot_keep_is_replaced_with_a_notice() {
        assert_eq!(Ttl::from_maxlifetime(1440), (Ttl(1440), None));
        assert_eq!(Ttl::from_maxlifetime(1), (Ttl(1), None));
        assert_eq!(Ttl::from_maxlifetime(0).0.seconds(), 1440);
        assert_eq!(Ttl::from_maxlifetime(-5).1, Some(TtlNotice::TooShort(-5)));
        assert_eq!(Ttl::from_maxlifetime(1 << 31).0.seconds(), (1 << 31) - 1);
        assert_eq!(Ttl::from_maxlifetime(i64::MAX).1, Some(TtlNotice::TooLong(i64::MAX)));
    }
}
