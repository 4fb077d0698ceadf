//! One who waits for a lock, as the scripts record it in the queue.

use std::time::Duration;

use super::args::{millis, number};

/// Which sessions a request wants.
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
    pub(super) fn word(self) -> &'static [u8] {
        match self {
            Self::Any => b"any",
            Self::Known => b"known",
            Self::Unused => b"unused",
        }
    }
}

/// Names one who waits, and tells its place: whoever came later has a greater
/// one. It stays with a request wherever that queues up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket(pub(super) Vec<u8>);

/// How a request stands to the queue for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaiterState<'a> {
    /// It will not wait.
    NotWaiting,
    /// It will wait from now on, if it has to.
    Joining {
        /// After how long without a sign of life it is forgotten.
        lasts: Duration,
        /// How many requests may wait at a time; 0 is no limit.
        most: u32,
    },
    /// It waits.
    Waiting {
        /// What it was given when it joined.
        ticket: &'a Ticket,
        /// As for one who joins.
        lasts: Duration,
        /// Whether its BLPOP stands in the server's queue where the ticket says.
        in_line: bool,
    },
}

/// A baton, and who was given it.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedBaton<'a> {
    /// How that one stands to the queue.
    pub waiter: WaiterState<'a>,
    /// What BLPOP gave.
    pub baton: &'a [u8],
}

impl WaiterState<'_> {
    /// Ticket, how long it lasts, place, most waiters.
    pub(super) fn words(self) -> [Vec<u8>; 4] {
        let place = |in_line| if in_line { b"line".to_vec() } else { b"aside".to_vec() };
        match self {
            Self::NotWaiting => [Vec::new(), number(0), place(true), number(0)],
            Self::Joining { lasts, most } => [Vec::new(), millis(lasts), place(true), number(most)],
            Self::Waiting { ticket, lasts, in_line } => {
                [ticket.0.clone(), millis(lasts), place(in_line), number(0)]
            }
        }
    }
}
