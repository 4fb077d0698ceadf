//! What one process needs beside its requests: the helper thread, counters and
//! limits. Handed down to whoever needs it; nothing below the registry looks it
//! up.
//!
//! | module | owns |
//! |---|---|
//! | [`counters`] | how the connections have fared, what was read |
//! | [`deadline`] | the end of all that a thread waits for |
//! | [`fork`] | what a fork must not find a thread at |
//! | [`threads`] | threads that PHP does not notice |
//! | [`wait_limits`] | which servers let how many connections wait |

pub mod counters;
pub mod deadline;
pub mod fork;
pub mod threads;
pub mod wait_limits;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use scheduled_thread_pool::ScheduledThreadPool;

use counters::Counters;
use threads::worker;
use wait_limits::WaitLimits;

/// One process' own.
pub struct Runtime {
    helper: OnceLock<Arc<ScheduledThreadPool>>,
    /// Whether the log knows that there can be no helper.
    has_warned: AtomicBool,
    max_connections: u32,
    /// What phpinfo() shows.
    pub counters: Counters,
    /// Which servers let how many connections wait.
    pub wait_limits: Arc<WaitLimits>,
}

impl Runtime {
    /// Starts nothing. `max_connections` is how many connections the process may
    /// hold to one server, at least 2.
    pub fn new(max_connections: u32) -> Self {
        Self {
            helper: OnceLock::new(),
            has_warned: AtomicBool::new(false),
            max_connections: max_connections.max(2),
            counters: Counters::default(),
            wait_limits: Arc::default(),
        }
    }

    /// How many connections the process may hold to one server, at least 2.
    pub fn max_connections(&self) -> u32 {
        self.max_connections
    }

    /// The helper thread, if it has been started.
    pub fn running_helper(&self) -> Option<&Arc<ScheduledThreadPool>> {
        self.helper.get()
    }

    /// The one thread that stays beside the requests, started at its first use;
    /// none while the system starts no more. Whoever has work for it goes on
    /// without it then. The helper must not wait for a server.
    pub fn start_helper(&self) -> Option<&Arc<ScheduledThreadPool>> {
        if let Some(helper) = self.helper.get() {
            return Some(helper);
        }
        let Some(started) = worker("redis-session") else {
            if !self.has_warned.swap(true, Ordering::Relaxed) {
                let reason = "the system starts no more threads (is the limit of processes \
                              reached?): only one connection to each server is kept between \
                              requests, and locks of long requests may end early";
                tracing::warn!(operation = "start a thread", outcome = reason);
            }
            return None;
        };
        Some(self.helper.get_or_init(|| started))
    }
}
