//! The way to a session's lock: ask for it, wait for a turn, claim it.
//!
//! Waiting does not poll: a BLPOP stands in the server's own queue, which
//! serves the longest waiting first and forgets a client whose connection
//! has died. Only a holder that does not hand over, such as phpredis, is
//! looked after at intervals. Every wait ends, and is cut into slices so that
//! PHP's signals are served.

use std::time::{Duration, Instant};

use redis::{RedisError, RedisResult, Value};

use crate::connections::{Checkout, Endpoint};
use crate::error::{Error, was_closed};
use crate::key::Keys;
use crate::lock::{Holder, Token};
use crate::resp::garbage;
use crate::scripts::{Place, Scripts, Turn, Wanted};
use crate::settings::{LockPolicy, ReadOnly, Ttl};

/// Longest time without a look at PHP's signals.
const SLICE: Duration = Duration::from_secs(1);
/// Shortest wait: a server that answers at once must not be asked in a loop.
const MIN_WAIT: Duration = Duration::from_millis(10);
/// Added to the time a lock has left, as clocks and rounding differ.
const MARGIN: Duration = Duration::from_millis(5);
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
    /// The session's keys.
    pub keys: Keys,
    /// What the lock will be set to.
    pub token: Token,
    /// Which sessions are wanted.
    pub wanted: Wanted,
    /// Whether the lock is wanted too.
    pub read_only: ReadOnly,
    /// The TTL to start again when it is read.
    pub refresh: Option<Ttl>,
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
    /// A wait that the server has not ended yet.
    wait: Option<Checkout>,
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
    /// those of [`Endpoint::run`].
    pub fn step(
        &mut self,
        endpoint: &Endpoint,
        policy: &LockPolicy,
    ) -> Result<Progress<Outcome>, Error> {
        let slice_ends = Instant::now() + SLICE;
        loop {
            let slice = slice_ends.saturating_duration_since(Instant::now());
            let turn = match self.wait.take().map(|mut wait| (wait.receive(slice), wait)) {
                Some((Ok(None), wait)) => {
                    self.wait = Some(wait);
                    return Ok(Progress::Waiting);
                }
                Some((Ok(Some(popped)), wait)) => {
                    drop(wait); // it carries the claim
                    match baton(popped).map_err(|error| endpoint.failure(&error))? {
                        None => endpoint.run(|link| self.ask(&mut Scripts(link), policy))?,
                        Some(baton) => {
                            endpoint.run(|link| self.claim(&mut Scripts(link), policy, &baton))?
                        }
                    }
                }
                // The server went away, or changed its role: see how it is now.
                Some((Err(error), _)) if was_closed(&error) || is_unblocked(&error) => {
                    endpoint.run(|link| self.ask(&mut Scripts(link), policy))?
                }
                Some((Err(error), _)) => return Err(endpoint.failure(&error)),
                None => endpoint.run(|link| self.ask(&mut Scripts(link), policy))?,
            };
            match turn {
                Turn::Ours(data) => return Ok(Progress::Done(Outcome::Ours(data))),
                Turn::Unwanted => return Ok(Progress::Done(Outcome::Unwanted)),
                Turn::Crowded(_) => return Err(Error::Crowded { most: policy.max_waiters }),
                Turn::Busy { expires, holder } => {
                    self.counted = true;
                    self.start_waiting(endpoint, policy, expires, &holder)?;
                }
            }
        }
    }

    /// Gives up: the server forgets us.
    pub fn leave(&mut self, endpoint: &Endpoint) {
        self.wait = None;
        if std::mem::take(&mut self.counted) {
            // If it fails, the count ends with its own time to live.
            let _ = endpoint.run(|link| Scripts(link).leave(&self.request.keys));
        }
    }

    /// The request, once it is done.
    pub fn into_request(self) -> Request {
        self.request
    }

    fn ask(&self, scripts: &mut Scripts<'_>, policy: &LockPolicy) -> RedisResult<Turn> {
        let Request { keys, token, wanted, read_only, refresh } = &self.request;
        let place = match (self.counted, *wanted) {
            (true, _) => Place::Inside,
            (false, Wanted::Unused) => Place::Outside,
            (false, Wanted::Any | Wanted::Known) => Place::Joining {
                patience: policy.patience.unwrap_or(ENDLESS).max(MIN_WAIT),
                most: policy.max_waiters,
            },
        };
        match read_only {
            ReadOnly::No => scripts.acquire(keys, token, policy.lease, *refresh, *wanted, place),
            ReadOnly::Wait | ReadOnly::NoWait => scripts.peek(keys, *refresh, *wanted, place, b""),
        }
    }

    fn claim(
        &self,
        scripts: &mut Scripts<'_>,
        policy: &LockPolicy,
        baton: &[u8],
    ) -> RedisResult<Turn> {
        let Request { keys, token, wanted, read_only, refresh } = &self.request;
        match read_only {
            ReadOnly::No => scripts.claim(keys, token, policy.lease, *refresh, baton),
            ReadOnly::Wait | ReadOnly::NoWait => {
                scripts.peek(keys, *refresh, *wanted, Place::Inside, baton)
            }
        }
    }

    /// Queues up at the server, for no longer than the lock can last.
    fn start_waiting(
        &mut self,
        endpoint: &Endpoint,
        policy: &LockPolicy,
        expires: Option<Duration>,
        holder: &[u8],
    ) -> Result<(), Error> {
        let waited = self.started.elapsed();
        let left = policy.patience.map_or(ENDLESS, |patience| patience.saturating_sub(waited));
        let holder = Holder::of(holder);
        if left.is_zero() || self.request.wanted == Wanted::Unused {
            self.leave(endpoint);
            return Err(Error::Busy { holder, waited });
        }
        let until = match holder {
            Holder::Foreign => policy.poll,
            Holder::Request { .. } | Holder::Next => left,
        };
        let time = expires.map_or(until, |expires| until.min(expires + MARGIN));
        let seconds = format!("{:.3}", time.min(left).max(MIN_WAIT).as_secs_f64());
        let command: [&[u8]; 3] = [b"BLPOP", &self.request.keys.baton, seconds.as_bytes()];
        self.wait = Some(endpoint.send(&command)?);
        Ok(())
    }
}

/// Whether the server ended the wait because it is no primary any more.
fn is_unblocked(error: &RedisError) -> bool {
    error.code() == Some("UNBLOCKED")
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
