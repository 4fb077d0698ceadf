//! Acquiring a session's lock: request it, wait for a turn, claim it.
//!
//! Waiting does not poll: one BLPOP waits in the server's own queue for the
//! whole time. That queue serves the longest waiting first and forgets a client
//! whose connection has died. At intervals the request sends a heartbeat on
//! another connection, which shows that it lives and checks that the lock has a
//! holder; a heartbeat never takes a lock. A request that has to queue up again
//! keeps its ticket, and those that are served before it let it go first. Only
//! a holder that does not hand over, such as phpredis, is polled. Every wait
//! ends, and is cut into slices so that PHP's signals are served.
//!
//! | module | owns |
//! |---|---|
//! | `blocked_pop` | a place in that queue |
//! | `waiting` | the BLPOP and its heartbeats |
//! | `requests` | what is sent to take the lock |
//! | `timing` | how long and how often |

mod blocked_pop;
mod requests;
mod timing;
mod waiting;

use std::task::Poll;
use std::time::{Duration, Instant};

use crate::config::settings::{LockPolicy, ReadOnly, Refresh};
use crate::error::Error;
use crate::lock::scripts::{AcquireReply, Existence, Scripts, Ticket};
use crate::lock::token::Token;
use crate::topology::{Backend, ReadRouting, SessionLocation};

use blocked_pop::BlockedPop;
use timing::{SLICE, time_until};

/// What a request asks for.
pub struct Request {
    /// Where the session is.
    pub location: SessionLocation,
    /// The lock's value once it is ours.
    pub token: Token,
    /// Whether the session must exist.
    pub wanted: Existence,
    /// Whether the lock is wanted too.
    pub read_only: ReadOnly,
    /// How a read treats the session's TTL.
    pub refresh: Refresh,
    /// How long a failover may take.
    pub failover: Duration,
    /// How many replicas must have the lock before the request goes on.
    pub replicas: u32,
}

/// How an acquisition ended.
#[derive(Debug)]
pub enum Acquired {
    /// The session's data, if it exists; and the lock, unless read only.
    Session(Option<Vec<u8>>),
    /// The session exists where it must not, or does not exist where it must. No
    /// lock is held.
    ExistenceMismatch,
}

/// A request that is acquiring the lock.
pub struct Acquisition {
    request: Request,
    started: Instant,
    ticket: Option<Ticket>,
    /// Whether it has its first place in the server's queue.
    in_line: bool,
    wait: Option<Wait>,
    /// How often its connection was closed as soon as it waited.
    closed_waits: u32,
}

/// What a request in the queue is waiting for.
enum Wait {
    /// Its turn, in the server's queue.
    Blocked(Box<BlockedPop>),
    /// The time to request the lock again.
    Until(Instant),
}

impl Acquisition {
    /// Sends nothing yet: see [`Acquisition::step`].
    pub fn new(request: Request) -> Self {
        Self {
            request,
            started: Instant::now(),
            ticket: None,
            in_line: true,
            wait: None,
            closed_waits: 0,
        }
    }

    /// Goes on acquiring; blocks for at most about a second, and longer only
    /// while a server does not answer.
    ///
    /// # Errors
    /// [`Error::Busy`] when the time to wait is over, [`Error::QueueFull`], and
    /// those of [`Backend::run`].
    pub fn step(
        &mut self,
        backend: &Backend,
        policy: &LockPolicy,
    ) -> Result<Poll<Acquired>, Error> {
        let slice_ends = Instant::now() + SLICE;
        loop {
            let reply = match self.wait.take() {
                None => Some(self.acquire_or_read(backend, policy)?),
                Some(Wait::Until(time)) => {
                    std::thread::sleep(time_until(time.min(slice_ends)));
                    if time > slice_ends {
                        self.wait = Some(Wait::Until(time));
                        None
                    } else {
                        Some(self.acquire_or_read(backend, policy)?)
                    }
                }
                Some(Wait::Blocked(pop)) => self.await_turn(backend, policy, pop, slice_ends)?,
            };
            match reply {
                None if Instant::now() >= slice_ends => return Ok(Poll::Pending),
                None => {}
                Some(AcquireReply::Acquired(data)) => {
                    return Ok(Poll::Ready(Acquired::Session(data)));
                }
                Some(AcquireReply::ExistenceMismatch) => {
                    return Ok(Poll::Ready(Acquired::ExistenceMismatch));
                }
                Some(AcquireReply::QueueFull(_)) => {
                    return Err(Error::QueueFull { most: policy.max_waiters });
                }
                Some(AcquireReply::NotBlocked) => self.in_line = false,
                Some(AcquireReply::Busy { expires, holder, ticket }) => {
                    self.ticket = ticket.or(self.ticket.take());
                    self.start_waiting(backend, policy, expires, &holder)?;
                }
            }
        }
    }

    /// Gives up: makes the server forget us. Blocks for one round trip if we
    /// were waiting; a failure is ignored, as the server forgets us soon anyway.
    pub fn leave(&mut self, backend: &Backend) {
        self.wait = None;
        if let Some(ticket) = self.ticket.take() {
            let Request { location, .. } = &self.request;
            let _ = backend.run(location, ReadRouting::Primary, Duration::ZERO, |connection| {
                Scripts(connection).leave(&location.keys, &ticket)
            });
        }
    }

    /// The request, once it is done.
    pub fn into_request(self) -> Request {
        self.request
    }
}
