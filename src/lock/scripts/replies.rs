//! What the scripts answer.

use std::time::Duration;

use redis::{RedisError, RedisResult, Value};

use super::waiter::Ticket;
use crate::client::resp::{bulk_or_nil, protocol_error};

/// What a request that wants a session is answered.
#[derive(Debug, PartialEq, Eq)]
pub enum AcquireReply {
    /// The lock is ours, unless the request only reads; the session's data, if it
    /// exists.
    Acquired(Option<Vec<u8>>),
    /// Another one has the lock.
    Busy {
        /// After how long the lock expires; none where it never does.
        expires: Option<Duration>,
        /// The lock's value, which tells who that is.
        holder: Vec<u8>,
        /// Our ticket in the queue, unless we do not wait.
        ticket: Option<Ticket>,
    },
    /// No one is blocked in the server's queue: our BLPOP is lost.
    NotBlocked,
    /// The session exists where it must not, or does not exist where it must.
    ExistenceMismatch,
    /// Too many wait already; the lock's value.
    QueueFull(Vec<u8>),
}

/// The outcome of an operation that needs the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockedOutcome {
    /// It is done.
    Done,
    /// We do not hold the lock: nothing was done.
    Lost,
    /// The session, which had to exist, is gone, and was not created again. The
    /// lock is kept or released as if the operation had been done.
    Gone,
}

pub(super) fn acquire_reply(
    outcome: Value,
    found: RedisResult<Option<Vec<u8>>>,
) -> RedisResult<AcquireReply> {
    let Value::Array(parts) = outcome else { return Err(unexpected()) };
    let mut parts = parts.into_iter();
    let mut part = || parts.next().unwrap_or(Value::Nil);
    match (part(), part(), part(), part()) {
        (Value::Int(1), ..) => Ok(AcquireReply::Acquired(found?)),
        (Value::Int(0), Value::Int(ms), holder, ticket) => {
            // Redis says -1 for "never" and -2 for "gone meanwhile".
            let expires = (ms != -1).then(|| Duration::from_millis(ms.try_into().unwrap_or(0)));
            let ticket = bulk_or_nil(ticket)?.filter(|ticket| !ticket.is_empty()).map(Ticket);
            Ok(AcquireReply::Busy {
                expires,
                holder: bulk_or_nil(holder)?.unwrap_or_default(),
                ticket,
            })
        }
        (Value::Int(2), ..) => Ok(AcquireReply::ExistenceMismatch),
        (Value::Int(4), ..) => Ok(AcquireReply::NotBlocked),
        (Value::Int(3), _, holder, _) => {
            Ok(AcquireReply::QueueFull(bulk_or_nil(holder)?.unwrap_or_default()))
        }
        _ => Err(unexpected()),
    }
}

pub(super) fn locked_outcome(value: Value) -> RedisResult<LockedOutcome> {
    match value {
        Value::Int(1) => Ok(LockedOutcome::Done),
        Value::Int(0) => Ok(LockedOutcome::Lost),
        Value::Int(2) => Ok(LockedOutcome::Gone),
        _ => Err(unexpected()),
    }
}

pub(super) fn unexpected() -> RedisError {
    protocol_error("an unexpected answer to a lock script")
}
