//! What the INI says, as values: units and defaults are here and nowhere
//! else. Reading the INI itself is `php::ini`'s business.

use std::time::Duration;

use crate::config::compression::Compression;
use crate::config::encryption::Encryption;

/// Longest time to live, in seconds: Redis and phpredis stop at 2^31 - 1.
const MAX_TTL: i64 = i32::MAX as i64;
/// Time to live where `session.gc_maxlifetime` is no time at all: PHP's default.
const DEFAULT_TTL: i64 = 1440;

/// A page that takes longer than this is a rare one.
const LONG_PAGE: Duration = Duration::from_secs(30);

/// The largest session, in bytes: what Redis keeps under one key.
pub const MAX_SIZE: usize = 512 << 20;

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
    /// Whether PHP writes sessions that have not changed, too: with
    /// `session.lazy_write` off, and through another save handler.
    pub writes_unchanged: bool,
    /// Whether the request promises not to write, see [`ReadOnly`].
    pub read_only: ReadOnly,
    /// `redis_session.failover_timeout`, in seconds: how long an operation is
    /// tried again while a cluster or a service's primary changes. Defaults
    /// to 5 s.
    pub failover: Duration,
    /// `redis_session.wait_replicas`: how many replicas must have a write
    /// before it counts. Defaults to 0.
    pub wait_replicas: u32,
    /// How sessions are compressed when they are written, or none for not at all.
    /// Defaults to none.
    pub compression: Option<Compression>,
    /// How sessions are encrypted, or none for not at all. Defaults to none.
    pub encryption: Option<Encryption>,
    /// How many bytes PHP may take for a session: what `memory_limit` leaves.
    pub memory: usize,
    /// `redis.session.locking_enabled`: how to lock, or none for not at all.
    /// Defaults to none.
    pub lock: Option<LockPolicy>,
}

/// How many bytes `memory_limit` leaves while `used` are used; at most what Redis
/// keeps under one key. PHP reads a number with K, M or G, and -1 is no limit.
pub fn memory_left(memory_limit: &str, used: usize) -> usize {
    let text = memory_limit.trim();
    let (digits, shift) = match text.as_bytes() {
        [digits @ .., b'k' | b'K'] => (digits, 10),
        [digits @ .., b'm' | b'M'] => (digits, 20),
        [digits @ .., b'g' | b'G'] => (digits, 30),
        digits => (digits, 0),
    };
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.trim().parse().ok());
    match number.map(|number: i64| usize::try_from(number)) {
        Some(Ok(number)) => number.saturating_mul(1 << shift).saturating_sub(used).min(MAX_SIZE),
        Some(Err(_)) | None => MAX_SIZE,
    }
}

/// What a request that will not write does about the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOnly {
    /// It may write: it takes the lock.
    No,
    /// It waits until no one holds the lock, then reads without taking it.
    Wait,
    /// It reads at once: `redis_session.read_only_wait=0`.
    NoWait,
}

/// How a request gets and keeps a session's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockPolicy {
    /// When the lock ends by itself.
    pub lease: Duration,
    /// Whether the lease starts again while the request lives.
    pub renewed: bool,
    /// The longest wait for a lock; none is for ever.
    pub lock_wait: Option<Duration>,
    /// The longest wait at a time against a holder that hands nothing over.
    pub poll: Duration,
    /// `redis_session.lock_max_waiters`: how many requests may wait for one
    /// session. Defaults to 0, which is no limit.
    pub max_waiters: u32,
    /// `redis.session.lock_failure_readonly`: whether a request that misses
    /// the lock goes on, read only. Defaults to false.
    pub failure_readonly: bool,
    /// What the request runs, shown to those who wait for it.
    pub script: String,
}

/// The INI's numbers for locking, in the INI's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockNumbers {
    /// `redis.session.lock_expire`, in seconds; 0 is `max_execution_time`.
    pub expire: i64,
    /// `max_execution_time`, in seconds; 0 is no limit. A lease that is
    /// renewed is no longer than this, nor than 10 s.
    pub max_execution_time: i64,
    /// `redis.session.lock_retries`, tries after the first; -1 is for ever,
    /// 0 is 100, as in phpredis.
    pub retries: i64,
    /// `redis.session.lock_wait_time`, in microseconds; 0 is 20000.
    pub wait_time: i64,
}

/// Longest lease of a lock that is renewed: a killed process must not block
/// its session for as long as a request may take.
const RENEWED_LEASE: Duration = Duration::from_secs(10);
/// Longest lease, so that Redis can count its milliseconds.
const MAX_LEASE: Duration = Duration::from_secs(i32::MAX as u64);
const DEFAULT_RETRIES: u32 = 100;
const DEFAULT_WAIT: Duration = Duration::from_millis(20);

impl LockNumbers {
    /// Lease, and whether it is renewed.
    pub fn lease(self) -> (Duration, bool) {
        let seconds = |n: i64| u64::try_from(n).ok().filter(|n| *n > 0).map(Duration::from_secs);
        match (seconds(self.expire), seconds(self.max_execution_time)) {
            (Some(expire), _) => (expire.min(MAX_LEASE), false),
            (None, limit) => (limit.unwrap_or(RENEWED_LEASE).min(RENEWED_LEASE), true),
        }
    }

    /// The longest wait at a time where waiting polls.
    pub fn poll(self) -> Duration {
        match u64::try_from(self.wait_time) {
            Ok(0) | Err(_) => DEFAULT_WAIT,
            Ok(micros) => Duration::from_micros(micros),
        }
    }

    /// The longest wait altogether; none is for ever.
    pub fn lock_wait(self) -> Option<Duration> {
        let retries = match self.retries {
            ..0 => return None,
            0 => DEFAULT_RETRIES,
            retries => u32::try_from(retries).unwrap_or(u32::MAX),
        };
        Some(self.poll().saturating_mul(retries))
    }
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

    /// With less than this left of it, a session may end before the request
    /// that reads it: a 32nd, but no less than half a minute, if it has that.
    pub fn short(self) -> Duration {
        let whole = Duration::from(self);
        (whole / 32).max(LONG_PAGE).min(whole)
    }
}

/// What a read does about the session's time to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// Nothing.
    Never,
    /// Starts it again.
    Always(Ttl),
    /// Starts it again where less than this is left of it.
    Below(Ttl, Duration),
}

impl From<Option<Ttl>> for Refresh {
    fn from(ttl: Option<Ttl>) -> Self {
        ttl.map_or(Self::Never, Self::Always)
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
    fn memory_limit_is_read_as_php_reads_it() {
        assert_eq!(memory_left("128M", 1 << 20), 127 << 20);
        assert_eq!(memory_left(" 2097152 ", 0), 2 << 20);
        assert_eq!(memory_left("64k", 65_537), 0);
        assert_eq!(memory_left("1g", 0), MAX_SIZE);
        for endless in ["-1", "", "much", "99999999999G"] {
            assert_eq!(memory_left(endless, 5), MAX_SIZE, "{endless}");
        }
    }

    const NUMBERS: LockNumbers =
        LockNumbers { expire: 0, max_execution_time: 0, retries: 100, wait_time: 20_000 };

    #[test]
    fn a_lease_is_renewed_unless_its_length_was_chosen() {
        assert_eq!(NUMBERS.lease(), (RENEWED_LEASE, true));
        let limited = LockNumbers { max_execution_time: 3, ..NUMBERS };
        assert_eq!(limited.lease(), (Duration::from_secs(3), true));
        let long = LockNumbers { max_execution_time: 30, ..NUMBERS };
        assert_eq!(long.lease(), (RENEWED_LEASE, true));
        let chosen = LockNumbers { expire: 7, ..limited };
        assert_eq!(chosen.lease(), (Duration::from_secs(7), false));
        let absurd = LockNumbers { expire: i64::MAX, ..NUMBERS };
        assert_eq!(absurd.lease(), (MAX_LEASE, false));
    }

    #[test]
    fn the_longest_wait_is_retries_times_wait_time() {
        assert_eq!(NUMBERS.lock_wait(), Some(Duration::from_secs(2)));
        let endless = LockNumbers { retries: -1, ..NUMBERS };
        assert_eq!(endless.lock_wait(), None);
        let zeros = LockNumbers { retries: 0, wait_time: 0, ..NUMBERS };
        assert_eq!(zeros.lock_wait(), Some(Duration::from_secs(2)));
        let absurd = LockNumbers { retries: i64::MAX, wait_time: i64::MAX, ..NUMBERS };
        assert!(absurd.lock_wait() > Some(Duration::from_secs(1 << 40)));
    }

    #[test]
    fn a_lifetime_that_redis_cannot_keep_is_replaced_with_a_notice() {
        assert_eq!(Ttl::from_maxlifetime(1440), (Ttl(1440), None));
        assert_eq!(Ttl::from_maxlifetime(1), (Ttl(1), None));
        assert_eq!(Ttl::from_maxlifetime(0).0.seconds(), 1440);
        assert_eq!(Ttl::from_maxlifetime(-5).1, Some(TtlNotice::TooShort(-5)));
        assert_eq!(Ttl::from_maxlifetime(1 << 31).0.seconds(), (1 << 31) - 1);
        assert_eq!(Ttl::from_maxlifetime(i64::MAX).1, Some(TtlNotice::TooLong(i64::MAX)));
    }

    #[test]
    fn little_is_left_of_a_lifetime_when_a_page_may_take_as_long() {
        for (seconds, short) in
            [(1, 1_000), (10, 10_000), (60, 30_000), (1440, 45_000), (86_400, 2_700_000)]
        {
            assert_eq!(Ttl(seconds).short(), Duration::from_millis(short), "{seconds}");
        }
    }
}
