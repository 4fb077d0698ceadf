//! A request that waits for a lock, as the scripts record it in the queue.

use std::time::Duration;

use super::args::{millis, number};

/// Whether the session that a request wants must exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence {
    /// Any: a missing one is a new one.
    Any,
    /// One that exists.
    Known,
    /// One that does not exist.
    Unused,
}

impl Existence {
    pub(super) fn arg(self) -> &'static [u8] {
        match self {
            Self::Any => b"any",
            Self::Known => b"known",
            Self::Unused => b"unused",
        }
    }
}

/// Names a waiting request, and gives its place: a request that came later has a
/// greater ticket. A request keeps it when it has to queue up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket(pub(super) Vec<u8>);

/// The state of a request in the queue for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaiterState<'a> {
    /// It will not wait.
    NotWaiting,
    /// It waits from now on, if the lock is not free.
    Joining {
        /// After how long without a heartbeat it is forgotten.
        expires_after: Duration,
        /// How many requests may wait at a time; 0 is no limit.
        max_waiters: u32,
    },
    /// It waits.
    Waiting {
        /// What it was given when it joined.
        ticket: &'a Ticket,
        /// As for one that joins.
        expires_after: Duration,
        /// Whether its BLPOP has the place in the server's queue that its ticket
        /// says.
        in_line: bool,
    },
}

/// A baton, and the waiter that received it.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedBaton<'a> {
    /// The waiter.
    pub waiter: WaiterState<'a>,
    /// What BLPOP returned.
    pub baton: &'a [u8],
}

impl WaiterState<'_> {
    /// As the scripts take it: ticket, after how long it expires, place, most waiters.
    pub(super) fn args(self) -> [Vec<u8>; 4] {
        let place = |in_line| if in_line { b"line".to_vec() } else { b"aside".to_vec() };
        match self {
            Self::NotWaiting => [Vec::new(), number(0), place(true), number(0)],
            Self::Joining { expires_after, max_waiters } => {
                [Vec::new(), millis(expires_after), place(true), number(max_waiters)]
            }
            Self::Waiting { ticket, expires_after, in_line } => {
                [ticket.0.clone(), millis(expires_after), place(in_line), number(0)]
            }
        }
    }
}
