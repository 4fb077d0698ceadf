//! What servers have turned out not to do for those who wait, and how many
//! connections may wait at each of them.
//!
//! Remembered for the process, by server, and tried anew now and then.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::RedisError;

use crate::error::{answered_code, reason, was_closed};

/// After how long a server may do what it did not.
const REMEMBERED: Duration = Duration::from_secs(60);
/// A connection that ends so soon after BLPOP was sent may have been closed
/// because of it, as some proxies do.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What a server does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Limit {
    /// Let us wait in its queue: the lock is looked at after each wait time.
    NoQueue,
    /// Wait for parts of a second: Redis before 6.0.
    WholeSeconds,
}

#[derive(Default)]
struct Known {
    limits: HashMap<(String, Limit), Instant>,
    waiting: HashMap<String, u32>,
}

static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

fn known() -> MutexGuard<'static, Option<Known>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether `server` is known to have this limit.
pub(super) fn has(server: &str, limit: Limit) -> bool {
    let mut known = known();
    let Some(known) = known.as_mut() else { return false };
    if known.limits.is_empty() {
        return false;
    }
    known.limits.retain(|_, since| since.elapsed() < REMEMBERED);
    known.limits.contains_key(&(server.to_owned(), limit))
}

/// Remembers that `server` has this limit. Tells the log, the first time.
pub(super) fn learn(server: &str, limit: Limit, why: &str) {
    let mut known = known();
    let limits = &mut known.get_or_insert_default().limits;
    if limits.insert((server.to_owned(), limit), Instant::now()).is_none() {
        match limit {
            Limit::NoQueue => tracing::warn!(
                host = server,
                reason = why,
                "requests cannot queue for a lock here: each tries again after lock_wait_time"
            ),
            Limit::WholeSeconds => {
                tracing::info!(
                    host = server,
                    reason = why,
                    "blocking waits end after whole seconds here"
                )
            }
        }
    }
}

/// What an `error` in answer to BLPOP, sent at `sent`, tells of the server.
pub(super) fn told_by(error: &RedisError, sent: Instant) -> Option<Limit> {
    if was_closed(error) {
        return (sent.elapsed() < AT_ONCE).then_some(Limit::NoQueue);
    }
    match answered_code(error) {
        Some("ERR") if reason(error).contains("timeout is not") => Some(Limit::WholeSeconds),
        Some("ERR" | "NOPERM") => Some(Limit::NoQueue),
        _ => None,
    }
}

/// Leave to let a connection wait at a server.
pub(super) struct Permit(String);

impl Permit {
    /// None where as many wait as may: half of the `connections` that this process
    /// may have. The others are for those whose turn it is.
    pub(super) fn at(server: &str, connections: u32) -> Option<Self> {
        let most = (connections / 2).max(1);
        let mut known = known();
        let waiting = &mut known.get_or_insert_default().waiting;
        match waiting.get_mut(server) {
            Some(count) if *count >= most => return None,
            Some(count) => *count += 1,
            None => {
                waiting.insert(server.to_owned(), 1);
            }
        }
        Some(Self(server.to_owned()))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(known) = known().as_mut()
            && let Some(count) = known.waiting.get_mut(&self.0)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                known.waiting.remove(&self.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> RedisError {
        match redis::parse_redis_value(line.as_bytes()).unwrap() {
            redis::Value::ServerError(error) => error.into(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_servers_say_to_a_wait_tells_what_they_do_not_do() {
        let told = |line| told_by(&error(line), Instant::now());
        let whole = "-ERR timeout is not an integer or out of range\r\n";
        assert_eq!(told(whole), Some(Limit::WholeSeconds));
        for line in ["-ERR unknown command 'BLPOP'\r\n", "-NOPERM no permissions\r\n"] {
            assert_eq!(told(line), Some(Limit::NoQueue), "{line}");
        }
        for line in ["-UNBLOCKED force unblock\r\n", "-MOVED 1 a:1\r\n", "-LOADING data\r\n"] {
            assert_eq!(told(line), None, "{line}");
        }
    }

    #[test]
    fn half_of_the_connections_may_wait() {
        let permits: Vec<_> = std::iter::from_fn(|| Permit::at("crowded:1", 256)).collect();
        assert_eq!(permits.len(), 128);
        assert!(Permit::at("other:1", 256).is_some());
        drop(permits);
        assert!(Permit::at("crowded:1", 256).is_some());
    }

    #[test]
    fn a_limit_is_of_one_server() {
        learn("limited:1", Limit::NoQueue, "unknown command");
        assert!(has("limited:1", Limit::NoQueue) && !has("limited:1", Limit::WholeSeconds));
        assert!(!has("limited:2", Limit::NoQueue));
    }
}
