//! The way to a session's lock: ask for it, wait for a turn, claim it.
//!
//! Waiting does not poll: a BLPOP stands in the server's own queue, which
//! serves the longest waiting first and forgets a client whose connection
//! has died. Only a holder that does not hand over, such as phpredis, is
//! looked after at intervals. Every wait ends, and is cut into slices so that
//! PHP's signals are served.

use std::time::{Duration, Instant};

use redis::{RedisError, RedisResult, Value};

use crate::connections::{Checkout, Trouble};
use crate::error::Error;
use crate::link::{Confirmed, Link};
use crate::lock::{Holder, Token};
use crate::resp::garbage;
use crate::scripts::{Scripts, Standing, Turn, Wanted};
use crate::settings::{LockPolicy, ReadOnly, Refresh};
use crate::topology::{Access, Place, Target, has_moved};

/// Longest time without a look at PHP's signals.
const SLICE: Duration = Duration::from_secs(1);
/// Shortest wait: a server that answers at once must not be asked in a loop.
const MIN_WAIT: Duration = Duration::from_millis(10);
/// Added to the time a lock has left, as clocks and rounding differ.
const MARGIN: Duration = Duration::from_millis(5);
/// Longest wait at the server without asking how things are: a server that
/// has gone silent is noticed after it, and a baton that a dying waiter took
/// along delays the others by no more.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Longest wait for replicas to have the lock, where `wait_replicas` is set:
/// a lock that they do not have is lost if the primary fails right now, but
/// nothing is written without it.
const MAX_CONFIRMATION: Duration = Duration::from_millis(100);
/// How long a request without a limit is counted as a waiter.
const ENDLESS: Duration = Duration::from_secs(24 * 60 * 60);

/// Something that may take several steps.
#[derive(Debug)]
pub enum Progress<T> {
    /// It is done.
    Done(T),
    /// It is not: serve signals, then take another step.
    Waiting,
}

/// What a request asks for.
pub struct Request {
    /// Where the session is.
    pub place: Place,
    /// What the lock will be set to.
    pub token: Token,
    /// Which sessions are wanted.
    pub wanted: Wanted,
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
pub enum Outcome {
    /// The session's data, if it exists; and the lock, unless read only.
    Ours(Option<Vec<u8>>),
    /// The session is not as wanted. No lock is held.
    Unwanted,
}

/// A request on its way to the lock.
pub struct Queue {
    request: Request,
    started: Instant,
    counted: bool,
    wait: Option<Wait>,
}

/// What a request in the queue is waiting for.
enum Wait {
    /// The server's answer, which must be there at the given time.
    Answer(Checkout, Instant),
    /// The time to look again at a lock that nobody hands over.
    Pause(Instant),
}

impl Queue {
    /// Nothing is asked yet: see [`Queue::step`].
    pub fn new(request: Request) -> Self {
        Self { request, started: Instant::now(), counted: false, wait: None }
    }

    /// Goes on for at most about a second.
    ///
    /// # Errors
    /// [`Error::Busy`] when patience is at its end, [`Error::Crowded`], and
    /// those of [`Target::run`].
    pub fn step(
        &mut self,
        target: &Target,
        policy: &LockPolicy,
    ) -> Result<Progress<Outcome>, Error> {
        let slice_ends = Instant::now() + SLICE;
        loop {
            let slice = slice_ends.saturating_duration_since(Instant::now());
            let turn = match self.wait.take() {
                None => self.ask(target, policy)?,
                Some(Wait::Pause(until)) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left > slice {
                        std::thread::sleep(slice);
                        self.wait = Some(Wait::Pause(until));
                        return Ok(Progress::Waiting);
                    }
                    std::thread::sleep(left);
                    self.ask(target, policy)?
                }
                Some(Wait::Answer(mut checkout, due)) => match checkout.receive(slice) {
                    Ok(None) if Instant::now() < due => {
                        self.wait = Some(Wait::Answer(checkout, due));
                        return Ok(Progress::Waiting);
                    }
                    Ok(None) => self.ask_elsewhere(target, policy, silence())?,
                    Ok(Some(popped)) => match baton(popped) {
                        Ok(baton) => {
                            drop(checkout); // it carries the claim
                            match baton {
                                None => self.ask(target, policy)?,
                                Some(baton) => self.claim(target, policy, &baton)?,
                            }
                        }
                        Err(error) => {
                            checkout.discard();
                            return Err(self.failure(target, &error));
                        }
                    },
                    Err(error) => self.ask_elsewhere(target, policy, error)?,
                },
            };
            match turn {
                Turn::Ours(data) => return Ok(Progress::Done(Outcome::Ours(data))),
                Turn::Unwanted => return Ok(Progress::Done(Outcome::Unwanted)),
                Turn::Crowded(_) => return Err(Error::Crowded { most: policy.max_waiters }),
                Turn::Busy { expires, holder } => {
                    self.counted |= self.request.wanted != Wanted::Unused;
                    self.start_waiting(target, policy, expires, &holder)?;
                }
            }
        }
    }

    /// Gives up: the server forgets us.
    pub fn leave(&mut self, target: &Target) {
        self.wait = None;
        if std::mem::take(&mut self.counted) {
            // If it fails, the count ends with its own time to live.
            let Request { place, .. } = &self.request;
            let _ = target.run(place, Access::Primary, Duration::ZERO, |link| {
                Scripts(link).leave(&place.keys)
            });
        }
    }

    /// The request, once it is done.
    pub fn into_request(self) -> Request {
        self.request
    }

    fn ask(&self, target: &Target, policy: &LockPolicy) -> Result<Turn, Error> {
        let Request { place, token, wanted, read_only, refresh, failover, .. } = &self.request;
        let standing = match (self.counted, *wanted) {
            (true, _) => Standing::Inside,
            (false, Wanted::Unused) => Standing::Outside,
            (false, Wanted::Any | Wanted::Known) => Standing::Joining {
                patience: policy.patience.unwrap_or(ENDLESS).max(MIN_WAIT),
                most: policy.max_waiters,
            },
        };
        let keys = &place.keys;
        target.run(place, Access::Primary, *failover, |link| match read_only {
            ReadOnly::No => {
                let mut link = self.confirmed(link);
                Scripts(&mut link).acquire(keys, token, policy.lease, *refresh, *wanted, standing)
            }
            ReadOnly::Wait | ReadOnly::NoWait => {
                Scripts(link).peek(keys, *refresh, *wanted, standing, b"")
            }
        })
    }

    fn claim(&self, target: &Target, policy: &LockPolicy, baton: &[u8]) -> Result<Turn, Error> {
        let Request { place, token, wanted, read_only, refresh, failover, .. } = &self.request;
        let keys = &place.keys;
        target.run(place, Access::Primary, *failover, |link| match read_only {
            ReadOnly::No => {
                let mut link = self.confirmed(link);
                Scripts(&mut link).claim(keys, token, policy.lease, *refresh, *wanted, baton)
            }
            ReadOnly::Wait | ReadOnly::NoWait => {
                Scripts(link).peek(keys, *refresh, *wanted, Standing::Inside, baton)
            }
        })
    }

    /// `link`, on which the lock is on the replicas too before it counts.
    fn confirmed<'a>(&self, link: &'a mut dyn Link) -> Confirmed<'a> {
        let replicas = self.request.replicas;
        Confirmed { link, replicas, limit: Some(MAX_CONFIRMATION), confirmed: 0 }
    }

    /// A wait has failed of `error`: sees who serves the session now.
    fn ask_elsewhere(
        &self,
        target: &Target,
        policy: &LockPolicy,
        error: RedisError,
    ) -> Result<Turn, Error> {
        let was_silent = error.is_timeout();
        let trouble = Trouble::Exchange(error);
        if has_moved(&trouble) && (target.is_changing() || !was_silent) {
            return self.ask(target, policy);
        }
        match trouble {
            Trouble::Exchange(error) => Err(self.failure(target, &error)),
            Trouble::Connect(error) => Err(error),
        }
    }

    fn failure(&self, target: &Target, error: &RedisError) -> Error {
        Error::from_server(target.name(&self.request.place), error)
    }

    /// Queues up at the server, for no longer than the lock can last.
    fn start_waiting(
        &mut self,
        target: &Target,
        policy: &LockPolicy,
        expires: Option<Duration>,
        holder: &[u8],
    ) -> Result<(), Error> {
        let waited = self.started.elapsed();
        let left = policy.patience.map_or(ENDLESS, |patience| patience.saturating_sub(waited));
        let holder = Holder::of(holder);
        if left.is_zero() || self.request.wanted == Wanted::Unused {
            self.leave(target);
            return Err(Error::Busy { holder, waited });
        }
        let time = expires.map_or(left, |expires| left.min(expires + MARGIN));
        if holder == Holder::Foreign {
            self.wait = Some(Wait::Pause(Instant::now() + time.min(policy.poll)));
            return Ok(());
        }
        let time = time.min(MAX_WAIT).max(MIN_WAIT);
        let Request { place, failover, .. } = &self.request;
        let seconds = format!("{:.3}", time.as_secs_f64());
        let command: [&[u8]; 3] = [b"BLPOP", &place.keys.baton, seconds.as_bytes()];
        let checkout = target.send(place, *failover, &command)?;
        let due = Instant::now() + time + checkout.read_timeout();
        self.wait = Some(Wait::Answer(checkout, due));
        Ok(())
    }
}

fn silence() -> RedisError {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer to a wait in time").into()
}

/// What BLPOP gave: key and value, or nothing in time.
fn baton(popped: Value) -> RedisResult<Option<Vec<u8>>> {
    match popped {
        Value::Nil => Ok(None),
        Value::Array(pair) => match <[Value; 2]>::try_from(pair) {
            Ok([_, Value::BulkString(baton)]) => Ok(Some(baton)),
            _ => Err(garbage("an unexpected answer to BLPOP")),
        },
        _ => Err(garbage("an unexpected answer to BLPOP")),
    }
}
