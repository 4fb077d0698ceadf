//! The way to a session's lock: ask for it, wait for a turn, claim it.
//!
//! Waiting does not poll: one BLPOP stands in the server's own queue for the
//! whole wait, which serves the longest waiting first and forgets a client
//! whose connection has died. Now and then the request shows on another
//! connection that it lives, and sees that the lock has a holder; that never
//! takes a turn. Whoever has to queue up again keeps its ticket, and those that
//! are served before it let it go first. Only a holder that does not hand over,
//! such as phpredis, is looked after at intervals. Every wait ends, and is cut
//! into slices so that PHP's signals are served.

mod asking;
mod limits;

use std::task::Poll;
use std::time::{Duration, Instant};

use redis::{RedisError, RedisResult, Value};

use crate::client::endpoint::{AttemptError, PooledConnection};
use crate::client::resp::protocol_error;
use crate::config::settings::{LockPolicy, ReadOnly, Refresh};
use crate::error::{Error, reason, was_closed};
use crate::lock::scripts::{AcquireReply, CLAIM_WINDOW, Existence, Scripts, Ticket};
use crate::lock::token::{Holder, Token};
use crate::topology::{Backend, ReadRouting, SessionLocation, has_moved};

use limits::{Limit, Permit};

/// Longest time without a look at PHP's signals.
const SLICE: Duration = Duration::from_secs(1);
/// Shortest wait: a server that answers at once must not be asked in a loop.
const MIN_WAIT: Duration = Duration::from_millis(10);
/// Added to the time a lock has left, as clocks and rounding differ.
const MARGIN: Duration = Duration::from_millis(5);
/// How often a waiter looks how things are: a server that has gone silent is
/// noticed after it, and a baton that a dying waiter took along delays the others
/// by no more.
const LOOK: Duration = Duration::from_secs(5);
/// The same where servers change places, as a BLPOP at the former one may never
/// be answered; and where only so many may wait, as one that was killed keeps
/// another out.
const LOOK_SOON: Duration = Duration::from_millis(500);
/// How much later than that a waiter may look and is not taken for dead.
const LATE: Duration = Duration::from_millis(1500);
/// The same where only so many may wait.
const LATE_WHERE_LIMITED: Duration = Duration::from_millis(750);
/// How long one whose turn it is not lets those go first who came before it.
const YIELD: Duration = Duration::from_millis(10);
/// Longest wait for replicas to have the lock, where `wait_replicas` is set:
/// a lock that they do not have is lost if the primary fails right now, but
/// nothing is written without it.
const MAX_CONFIRMATION: Duration = Duration::from_millis(100);
/// How long a request without a limit waits at a time.
const ENDLESS: Duration = Duration::from_secs(24 * 60 * 60);

/// What a request asks for.
pub struct Request {
    /// Where the session is.
    pub location: SessionLocation,
    /// What the lock will be set to.
    pub token: Token,
    /// Which sessions are wanted.
    pub wanted: Existence,
    /// Whether the lock is wanted too.
    pub read_only: ReadOnly,
    /// What its read does about its TTL.
    pub refresh: Refresh,
    /// How long a failover may take.
    pub failover: Duration,
    /// How many replicas are to have the lock before the request goes on.
    pub replicas: u32,
}

/// How it ended.
#[derive(Debug)]
pub enum Acquired {
    /// The session's data, if it exists; and the lock, unless read only.
    Session(Option<Vec<u8>>),
    /// The session is not as wanted. No lock is held.
    ExistenceMismatch,
}

/// A request on its way to the lock.
pub struct Acquisition {
    request: Request,
    started: Instant,
    ticket: Option<Ticket>,
    /// It has not had to queue up again.
    in_line: bool,
    wait: Option<Wait>,
    /// How often its connection was closed as soon as it stood in the queue.
    hung_up: u32,
}

/// What a request in the queue is waiting for.
enum Wait {
    /// Its turn, in the server's queue.
    Blocked(Box<Blocked>),
    /// The time to ask again.
    Pause(Instant),
}

/// A BLPOP that is not answered yet.
struct Blocked {
    checkout: PooledConnection,
    server: String,
    sent: Instant,
    _permit: Permit,
    /// The server does not end the wait with our patience.
    ends_late: bool,
    /// When the answer must be there.
    due: Instant,
    /// When to look how things are.
    look: Instant,
}

impl Acquisition {
    /// Nothing is asked yet: see [`Acquisition::step`].
    pub fn new(request: Request) -> Self {
        Self {
            request,
            started: Instant::now(),
            ticket: None,
            in_line: true,
            wait: None,
            hung_up: 0,
        }
    }

    /// Goes on for at most about a second.
    ///
    /// # Errors
    /// [`Error::Busy`] when patience is at its end, [`Error::QueueFull`], and
    /// those of [`Backend::run`].
    pub fn step(
        &mut self,
        backend: &Backend,
        policy: &LockPolicy,
    ) -> Result<Poll<Acquired>, Error> {
        let slice_ends = Instant::now() + SLICE;
        loop {
            let turn = match self.wait.take() {
                None => Some(self.ask(backend, policy)?),
                Some(Wait::Pause(until)) => {
                    std::thread::sleep(left_until(until.min(slice_ends)));
                    if until > slice_ends {
                        self.wait = Some(Wait::Pause(until));
                        None
                    } else {
                        Some(self.ask(backend, policy)?)
                    }
                }
                Some(Wait::Blocked(blocked)) => {
                    self.await_turn(backend, policy, blocked, slice_ends)?
                }
            };
            match turn {
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

    /// Waits for the answer to BLPOP until the slice ends, or it is time to look.
    fn await_turn(
        &mut self,
        backend: &Backend,
        policy: &LockPolicy,
        mut blocked: Box<Blocked>,
        slice_ends: Instant,
    ) -> Result<Option<AcquireReply>, Error> {
        let patience = left_until(slice_ends.min(blocked.look));
        match blocked.checkout.receive(patience) {
            Ok(None) if Instant::now() >= blocked.due => {
                self.ask_elsewhere(backend, policy, silence()).map(Some)
            }
            Ok(None) if Instant::now() >= blocked.look => self.look(backend, policy, blocked),
            Ok(None) => {
                self.wait = Some(Wait::Blocked(blocked));
                Ok(None)
            }
            Ok(Some(popped)) => match baton(popped) {
                Ok(baton) => {
                    drop(blocked); // its connection carries the claim
                    self.in_line = false; // unless it is our turn now
                    match baton {
                        None => self.ask(backend, policy).map(Some),
                        Some(baton) => self.claim(backend, policy, &baton).map(|turn| {
                            let AcquireReply::Busy { holder, ticket, .. } = &turn else {
                                return Some(turn);
                            };
                            if Holder::of(holder) != Holder::Next {
                                return Some(turn);
                            }
                            // It is for one who came before us.
                            self.ticket = ticket.clone().or(self.ticket.take());
                            self.wait = Some(Wait::Pause(Instant::now() + YIELD));
                            None
                        }),
                    }
                }
                Err(error) => {
                    let Blocked { checkout, .. } = *blocked;
                    checkout.discard();
                    Err(self.failure(backend, &error))
                }
            },
            Err(error) => {
                if self.has_limits(backend, &blocked, &error) {
                    self.in_line = false;
                    return self.ask(backend, policy).map(Some);
                }
                self.ask_elsewhere(backend, policy, error).map(Some)
            }
        }
    }

    /// Whether a wait failed as the server does not let us wait like that.
    fn has_limits(&mut self, backend: &Backend, blocked: &Blocked, error: &RedisError) -> bool {
        let Some(limit) = limits::told_by(error, blocked.sent) else { return false };
        if was_closed(error) {
            // By chance, unless it happens again.
            self.hung_up += 1;
            if self.hung_up < 2 || backend.is_changing() {
                return false;
            }
        }
        limits::learn(&blocked.server, limit, &reason(error));
        true
    }

    /// Shows that we live, and sees who has the lock. The BLPOP stays where it
    /// stands, unless that is not where the session is served.
    fn look(
        &mut self,
        backend: &Backend,
        policy: &LockPolicy,
        mut blocked: Box<Blocked>,
    ) -> Result<Option<AcquireReply>, Error> {
        let left = self.left(policy);
        if blocked.ends_late && left.is_zero() {
            return self.ask(backend, policy).map(Some);
        }
        let Request { location, token, failover, .. } = &self.request;
        let standing = self.standing(backend, policy);
        let turn = backend.run(location, ReadRouting::Primary, *failover, |link| {
            Scripts(link).look(&location.keys, token, standing)
        });
        match turn {
            // What is silent on a new connection is so on ours.
            Err(Error::Connect { .. }) if !backend.is_changing() => {
                Err(self.failure(backend, &silence()))
            }
            Err(error) => Err(error),
            Ok(AcquireReply::Busy { expires, holder, .. })
                if blocked.server == backend.name(location) =>
            {
                blocked.look = next_look(backend, policy, expires, &Holder::of(&holder));
                if blocked.ends_late {
                    blocked.look = blocked.look.min(Instant::now() + left);
                }
                self.wait = Some(Wait::Blocked(blocked));
                Ok(None)
            }
            Ok(_) => {
                self.in_line = false;
                Ok(None) // its connection is closed: asks anew
            }
        }
    }

    /// Gives up: the server forgets us.
    pub fn leave(&mut self, backend: &Backend) {
        self.wait = None;
        if let Some(ticket) = self.ticket.take() {
            // If it fails, we are soon forgotten.
            let Request { location, .. } = &self.request;
            let _ = backend.run(location, ReadRouting::Primary, Duration::ZERO, |link| {
                Scripts(link).leave(&location.keys, &ticket)
            });
        }
    }

    /// The request, once it is done.
    pub fn into_request(self) -> Request {
        self.request
    }

    /// A wait has failed of `error`: sees who serves the session now.
    fn ask_elsewhere(
        &mut self,
        backend: &Backend,
        policy: &LockPolicy,
        error: RedisError,
    ) -> Result<AcquireReply, Error> {
        self.in_line = false;
        let was_silent = error.is_timeout();
        let trouble = AttemptError::Exchange(error);
        if has_moved(&trouble) && (backend.is_changing() || !was_silent) {
            return self.ask(backend, policy);
        }
        match trouble {
            AttemptError::Exchange(error) => Err(self.failure(backend, &error)),
            AttemptError::Connect(error) => Err(error),
        }
    }

    fn failure(&self, backend: &Backend, error: &RedisError) -> Error {
        Error::from_server(backend.name(&self.request.location), error)
    }

    /// Queues up at the server, for as long as we will wait.
    fn start_waiting(
        &mut self,
        backend: &Backend,
        policy: &LockPolicy,
        expires: Option<Duration>,
        holder: &[u8],
    ) -> Result<(), Error> {
        let left = self.left(policy);
        let holder = Holder::of(holder);
        if left.is_zero() || self.request.wanted == Existence::Unused {
            self.leave(backend);
            return Err(Error::Busy { holder: holder.to_string(), waited: self.started.elapsed() });
        }
        let server = backend.name(&self.request.location);
        if self.ticket.is_none() {
            limits::learn(
                &server,
                Limit::NoQueue,
                "its scripts may not run the commands of the queue",
            );
        }
        let alone = holder == Holder::Foreign || limits::has(&server, Limit::NoQueue);
        let permit = if alone { None } else { Permit::at(&server, backend.max_connections()) };
        let Some(permit) = permit else {
            let expires = expires.map_or(left, |expires| expires + MARGIN);
            let pause = left.min(expires).min(policy.poll);
            self.in_line = false; // whoever polls queues up later than its ticket says
            self.wait = Some(Wait::Pause(Instant::now() + pause));
            return Ok(());
        };
        let mut time = left.max(MIN_WAIT);
        let ends_late = limits::has(&server, Limit::WholeSeconds);
        if ends_late {
            time = Duration::from_secs(time.as_secs() + 1);
        }
        let Request { location, failover, .. } = &self.request;
        let seconds = match time.subsec_nanos() {
            0 => time.as_secs().to_string(),
            _ => format!("{:.3}", time.as_secs_f64()),
        };
        let command: [&[u8]; 3] = [b"BLPOP", &location.keys.baton, seconds.as_bytes()];
        let checkout = backend.send(location, *failover, &command)?;
        let sent = Instant::now();
        let due = sent + time + checkout.read_timeout();
        let (server, look) = (backend.name(location), next_look(backend, policy, expires, &holder));
        let look = if ends_late { look.min(sent + left) } else { look };
        let blocked = Blocked { checkout, server, sent, _permit: permit, ends_late, due, look };
        self.wait = Some(Wait::Blocked(Box::new(blocked)));
        Ok(())
    }
}

fn left_until(time: Instant) -> Duration {
    time.saturating_duration_since(Instant::now())
}

fn look_every(backend: &Backend, policy: &LockPolicy) -> Duration {
    if policy.max_waiters == 0 && !backend.is_changing() { LOOK } else { LOOK_SOON }
}

/// How long a waiter that has looked is taken to live.
fn lives_for(backend: &Backend, policy: &LockPolicy) -> Duration {
    let late = if policy.max_waiters == 0 { LATE } else { LATE_WHERE_LIMITED };
    look_every(backend, policy) + late
}

/// When to look at a lock that `expires` and has this `holder`.
fn next_look(
    backend: &Backend,
    policy: &LockPolicy,
    expires: Option<Duration>,
    holder: &Holder,
) -> Instant {
    let regular = look_every(backend, policy);
    let time = match (expires, holder) {
        (_, Holder::Foreign) => policy.poll,
        (Some(expires), Holder::Next) => (expires + MARGIN).min(CLAIM_WINDOW / 2),
        (Some(expires), Holder::Request { .. }) => expires + MARGIN,
        (None, _) => regular,
    };
    Instant::now() + time.clamp(MIN_WAIT, regular)
}

fn silence() -> RedisError {
    std::io::Error::new(
        std::io::ErrorKind::TimedOut,
        "the server did not end a blocking wait in time",
    )
    .into()
}

/// What BLPOP gave: key and value, or nothing in time.
fn baton(popped: Value) -> RedisResult<Option<Vec<u8>>> {
    match popped {
        Value::Nil => Ok(None),
        Value::Array(pair) => match <[Value; 2]>::try_from(pair) {
            Ok([_, Value::BulkString(baton)]) => Ok(Some(baton)),
            _ => Err(protocol_error("an unexpected answer to BLPOP")),
        },
        _ => Err(protocol_error("an unexpected answer to BLPOP")),
    }
}
