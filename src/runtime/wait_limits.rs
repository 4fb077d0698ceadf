//! What servers do not support for requests that wait, and how many connections
//! wait at each of them.
//!
//! One for a process, by server. What a server does not support is tried again
//! after a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long a limit of a server is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What a server does not support.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitLimit {
    /// Waiting in its queue: the lock is polled after each wait time.
    NoQueue,
    /// Waits for parts of a second: Redis before 6.0.
    WholeSeconds,
}

/// The limits of all servers that a process knows.
#[derive(Default)]
pub struct WaitLimits(Mutex<State>);

#[derive(Default)]
struct State {
    limits: HashMap<(String, WaitLimit), Instant>,
    waiting: HashMap<String, u32>,
}

impl WaitLimits {
    /// Whether `server` is known to have this limit.
    pub fn has(&self, server: &str, limit: WaitLimit) -> bool {
        let state = self.state();
        if state.limits.is_empty() {
            return false;
        }
        let since = state.limits.get(&(server.to_owned(), limit));
        since.is_some_and(|since| since.elapsed() < REMEMBERED)
    }

    /// Remembers that `server` has this limit, and logs it with its `reason` if
    /// that was not known.
    pub fn record(&self, server: &str, limit: WaitLimit, reason: &str) {
        let mut state = self.state();
        state.limits.retain(|_, since| since.elapsed() < REMEMBERED);
        if state.limits.insert((server.to_owned(), limit), Instant::now()).is_none() {
            match limit {
                WaitLimit::NoQueue => tracing::warn!(
                    host = server,
                    reason,
                    "requests cannot queue for a lock here: each tries again after lock_wait_time"
                ),
                WaitLimit::WholeSeconds => {
                    tracing::info!(
                        host = server,
                        reason,
                        "blocking waits end after whole seconds here"
                    );
                }
            }
        }
    }

    /// Permits one more connection to wait at `server`, until the permit is
    /// dropped; none where half of the `connections` that this process may hold
    /// to it wait already. The others are for those whose turn it is.
    pub fn permit(self: &Arc<Self>, server: &str, connections: u32) -> Option<WaitPermit> {
        let most = (connections / 2).max(1);
        let mut state = self.state();
        match state.waiting.get_mut(server) {
            Some(count) if *count >= most => return None,
            Some(count) => *count += 1,
            None => {
                state.waiting.insert(server.to_owned(), 1);
            }
        }
        drop(state);
        Some(WaitPermit { limits: self.clone(), server: server.to_owned() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets one connection wait at a server.
pub struct WaitPermit {
    limits: Arc<WaitLimits>,
    server: String,
}

impl Drop for WaitPermit {
    fn drop(&mut self) {
        let mut state = self.limits.state();
        if let Some(count) = state.waiting.get_mut(&self.server) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.waiting.remove(&self.server);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_connections_may_wait() {
        let limits = Arc::new(WaitLimits::default());
        let permits: Vec<_> =
            std::iter::from_fn(|| limits.permit("crowded:1", 256)).take(1000).collect();
        assert_eq!(permits.len(), 128);
        assert!(limits.permit("other:1", 256).is_some());
        drop(permits);
        assert!(limits.permit("crowded:1", 256).is_some());
    }

    #[test]
    fn a_limit_is_of_one_server() {
        let limits = WaitLimits::default();
        limits.record("limited:1", WaitLimit::NoQueue, "unknown command");
        assert!(limits.has("limited:1", WaitLimit::NoQueue));
        assert!(!limits.has("limited:1", WaitLimit::WholeSeconds));
        assert!(!limits.has("limited:2", WaitLimit::NoQueue));
    }
}
