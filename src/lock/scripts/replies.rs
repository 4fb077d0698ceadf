//! What the scripts answer.

use std::time::Duration;

use redis::{RedisError, RedisResult, Value};

use super::waiter::Ticket;
use crate::client::resp::{bulk_or_nil, protocol_error};

/// What came of asking for a session.
#[derive(Debug, PartialEq, Eq)]
pub enum AcquireReply {
    /// It is ours: its data, if it exists.
    Acquired(Option<Vec<u8>>),
    /// Somebody has the lock.
    Busy {
        /// When it ends by itself; none where it never does.
        expires: Option<Duration>,
        /// The lock's value, which tells who that is.
        holder: Vec<u8>,
        /// Ours in the queue, unless we will not wait.
        ticket: Option<Ticket>,
    },
    /// Nobody is blocked in the server's queue: our BLPOP is lost.
    NotBlocked,
    /// The session is not as wanted.
    ExistenceMismatch,
    /// As many wait as may.
    QueueFull(Vec<u8>),
}

/// What came of an operation that needs the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockedOutcome {
    /// It is done.
    Done,
    /// We do not hold the lock: nothing was done.
    Lost,
    /// The session, which had to be there, is gone: it stays away. The lock
    /// is where it would be if this had been done.
    Gone,
}

pub(super) fn turn(
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

pub(super) fn kept(value: Value) -> RedisResult<LockedOutcome> {
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
