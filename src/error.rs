//! Why a session operation failed, written for the operator who reads it.
//!
//! Every variant ends as one PHP warning. The texts begin as phpredis' do,
//! because people search their logs for them, and go on with the host, the
//! reason and the remedy. None of them holds a password, a token or an id.

use redis::RedisError;

use crate::key::InvalidSid;
use crate::save_path::ParseError;

/// A failed session operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `session.save_path` is malformed; retrying cannot help.
    #[error("{0}")]
    SavePath(#[from] ParseError),
    /// The session id cannot name a key; nothing was sent.
    #[error("Invalid session key: {0}")]
    Sid(#[from] InvalidSid),
    /// No connection, or the server refused the login: nothing was sent.
    #[error("Redis connection not available: {host}: {reason}")]
    Connect {
        /// The server, without credentials.
        host: String,
        /// What was tried and how it failed.
        reason: String,
    },
    /// The server was reached, but the operation failed on the way.
    #[error("Error communicating with Redis server {host}: {reason}")]
    Exchange {
        /// The server, without credentials.
        host: String,
        /// What the server or the network said.
        reason: String,
    },
    /// The session could not be stored. Holds what went wrong underneath.
    #[error("Error writing session data to Redis: {0}")]
    Write(Box<Error>),
    /// Three generated session ids in a row existed already.
    #[error("Failed to create a session id: three generated ids were all in use")]
    Collision,
    /// A defect in this extension; the request goes on without a session.
    #[error("Internal error in redis_session: {0}")]
    Panic(String),
}

impl Error {
    /// An exchange with `host` that failed; the connection is not used again.
    pub fn exchange(host: impl ToString, error: &RedisError) -> Self {
        Self::Exchange { host: host.to_string(), reason: reason(error) }
    }

    /// The same failure, as seen by a write.
    pub fn on_write(self) -> Self {
        match self {
            Self::Exchange { .. } | Self::Connect { .. } => Self::Write(Box::new(self)),
            Self::SavePath(_)
            | Self::Sid(_)
            | Self::Write(_)
            | Self::Collision
            | Self::Panic(_) => self,
        }
    }
}

/// Whether `error` ended the connection, so that it must not be used again.
/// An error that the server sent as a reply leaves the connection in order.
pub fn ends_connection(error: &RedisError) -> bool {
    !matches!(error.kind(), redis::ErrorKind::Server(_) | redis::ErrorKind::Extension)
}

/// Whether repeating on a new connection can help: the old one was closed by
/// the other side. A timeout is not repeated: the server may still be at it.
pub fn was_closed(error: &RedisError) -> bool {
    ends_connection(error) && error.is_connection_dropped() && !error.is_timeout()
}

/// The words for `error`, without the crate's framing around them.
pub fn reason(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        _ => error.to_string(),
    }
}
