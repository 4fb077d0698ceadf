//! Why a session operation failed, written for the operator who reads it.
//!
//! Every variant ends as one PHP warning. The texts begin as phpredis' do,
//! because people search their logs for them, and go on with the host, the
//! reason and the remedy. None of them holds a password, a token or an id.
//!
//! Imports nothing of this crate: what an error tells of a layer above is text,
//! and a layer that has a type for it says there how it becomes an [`Error`].

use std::time::Duration;

use redis::RedisError;

/// A failed session operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `session.save_path` is malformed; retrying cannot help.
    #[error("{0}")]
    SavePath(String),
    /// `rediscluster` was given something else than a cluster.
    #[error(
        "No valid seeds detected: session.save_handler = rediscluster needs a session.save_path \
         like seed[]=host:port&seed[]=host:port; for anything else use redis"
    )]
    NoSeeds,
    /// What is stored is compressed, and cannot be decompressed: it is kept.
    #[error("Failed to decompress session data ({codec}): the session on {host} {reason}")]
    Decompress {
        /// With what it is compressed.
        codec: String,
        /// The server, without credentials.
        host: String,
        /// Why not.
        reason: String,
    },
    /// What is stored is encrypted and cannot be decrypted, or is not and must be: it is
    /// kept.
    #[error("Failed to decrypt session data: the session on {host} {reason}")]
    Decrypt {
        /// The server, without credentials.
        host: String,
        /// Why not.
        reason: String,
    },
    /// The settings ask for encryption that cannot be had: no session starts.
    #[error("Failed to set up encryption of sessions: {0}")]
    Encryption(String),
    /// No random numbers for a salt.
    #[error(
        "Unable to write session: it cannot be encrypted: the system gives no random numbers: {0}"
    )]
    Encrypt(getrandom::Error),
    /// The session id cannot name a key; nothing was sent.
    #[error("Invalid session key: {0}")]
    Sid(String),
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
    /// The server has answered, and will not do it.
    #[error("Error communicating with Redis server {host}: it answered: {reason}")]
    Refused {
        /// The server, without credentials.
        host: String,
        /// What the server said.
        reason: String,
    },
    /// The session could not be stored. Holds what went wrong underneath.
    #[error("Error writing session data to Redis: {0}")]
    Write(Box<Error>),
    /// The session is stored, but not as safely as was asked for.
    #[error(
        "Error writing session data to Redis: it was written, but {confirmed} of {wanted} \
         replicas confirmed it in time{} (redis_session.wait_replicas)",
        refusal.as_ref().map(|said| format!("; the server answered WAIT with: {said}"))
            .unwrap_or_default()
    )]
    Unconfirmed {
        /// How many replicas have it for certain.
        confirmed: u32,
        /// How many were asked for.
        wanted: u32,
        /// What the server said where it would not tell, or cannot.
        refusal: Option<String>,
    },
    /// The longest wait is over, and another request still has the session.
    #[error("Failed to acquire session lock: {holder}; gave up after {:.1} s", waited.as_secs_f64())]
    Busy {
        /// Who has it.
        holder: String,
        /// How long this request has waited.
        waited: Duration,
    },
    /// No more requests may wait for this session.
    #[error(
        "Failed to acquire session lock: too many requests are already waiting for this session \
         (redis_session.lock_max_waiters = {most})"
    )]
    QueueFull {
        /// How many may wait.
        most: u32,
    },
    /// A signal handler, a time limit or the client ended the wait.
    #[error("Failed to acquire session lock: the wait was interrupted")]
    Interrupted,
    /// No random numbers for a token.
    #[error("Failed to acquire session lock: the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// Our lock was gone before the write, so the write was refused.
    #[error(
        "Unable to write session: session lock not held; the changes of this request are lost, \
         those of the request that took the lock are kept"
    )]
    LockLost,
    /// The same, but an earlier attempt was not answered: it may have stored
    /// the session and released the lock.
    #[error(
        "Unable to write session: session lock not held; the server failed before it said whether \
         the changes of this request were stored, and another request has had the session since"
    )]
    Unanswered,
    /// It was there when it was read, and is not there now.
    #[error(
        "Unable to write session: it was destroyed or removed while this request ran; its changes \
         are lost"
    )]
    Vanished,
    /// There was no lock to write with.
    #[error("Unable to write session: session lock not held")]
    NotLocked,
    /// PHP has not got what is stored, so what it has is not the session.
    #[error("Unable to write session: it was not read completely, so the stored data are kept")]
    NotRead,
    /// The request has promised not to write.
    #[error("Unable to write session: redis_session.read_only is on for this request")]
    ReadOnly,
    /// The lock could not be released; it ends with its lease.
    #[error("Failed to release session lock: {0}")]
    Release(Box<Error>),
    /// Three generated session ids in a row existed already.
    #[error("Failed to create a session id: three generated ids were all in use")]
    Collision,
    /// A defect in this extension; the request goes on without a session.
    #[error("Internal error in redis_session: {0}")]
    Panic(String),
}

impl Error {
    /// An operation on `host` that failed on the way or at the server.
    pub fn from_server(host: impl ToString, error: &RedisError) -> Self {
        let (host, reason) = (host.to_string(), reason(error));
        match ends_connection(error) {
            true => Self::Exchange { host, reason },
            false => Self::Refused { host, reason },
        }
    }

    /// The server and the reason alone, to be part of another message.
    pub fn in_short(&self) -> String {
        match self {
            Self::Connect { host, reason }
            | Self::Exchange { host, reason }
            | Self::Refused { host, reason } => format!("{host}: {reason}"),
            other => other.to_string(),
        }
    }

    /// The same failure, as seen by a write.
    pub fn on_write(self) -> Self {
        if matches!(self, Self::Refused { .. }) || self.is_unreachable() {
            return Self::Write(Box::new(self));
        }
        self
    }

    /// Whether the server cannot be reached, so that asking it for anything
    /// else would only cost another timeout.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Exchange { .. } => true,
            Self::Write(cause) | Self::Release(cause) => cause.is_unreachable(),
            Self::SavePath(_)
            | Self::NoSeeds
            | Self::Decompress { .. }
            | Self::Decrypt { .. }
            | Self::Encryption(_)
            | Self::Encrypt(_)
            | Self::Sid(_)
            | Self::Refused { .. }
            | Self::Unconfirmed { .. }
            | Self::Busy { .. }
            | Self::QueueFull { .. }
            | Self::Interrupted
            | Self::Random(_)
            | Self::LockLost
            | Self::Unanswered
            | Self::Vanished
            | Self::NotLocked
            | Self::NotRead
            | Self::ReadOnly
            | Self::Collision
            | Self::Panic(_) => false,
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

/// The code of what the server answered. Before Redis 7 an error inside a
/// script came wrapped: `ERR Error running script (...): @user_script:1: -READONLY ...`.
pub fn answered_code(error: &RedisError) -> Option<&str> {
    let code = error.code()?;
    match error.detail().filter(|_| code == "ERR").and_then(code_inside_script) {
        Some(inside) => Some(inside),
        None => Some(code),
    }
}

fn code_inside_script(detail: &str) -> Option<&str> {
    let (_, inside) = detail.strip_prefix("Error running script")?.split_once(": -")?;
    let code = inside.split_whitespace().next()?;
    code.bytes().all(|byte| byte.is_ascii_uppercase()).then_some(code)
}

/// The words for `error`, without the crate's framing around them.
pub fn reason(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(line: &[u8]) -> String {
        match redis::parse_redis_value(line).unwrap() {
            redis::Value::ServerError(error) => {
                answered_code(&RedisError::from(error)).unwrap_or_default().to_owned()
            }
            other => panic!("no error: {other:?}"),
        }
    }

    #[test]
    fn an_error_inside_a_script_is_recognised_also_where_an_old_server_wraps_it() {
        let readonly = "READONLY You can't write against a read only replica.";
        let lines = [
            format!("-{readonly}\r\n"),
            format!("-{readonly} script: 5fa1, on @user_script:32.\r\n"),
            format!("-ERR Error running script (call to f_5fa1): @user_script:32: -{readonly}\r\n"),
            format!(
                "-ERR Error running script (call to f_5fa1): @user_script: 32: -{readonly} \r\n"
            ),
        ];
        for line in lines {
            assert_eq!(code_of(line.as_bytes()), "READONLY", "{line}");
        }
    }

    #[test]
    fn other_errors_keep_their_code() {
        let wrapped = "-ERR Error running script (call to f_5fa1): @user_script:1: ";
        for (line, code) in [
            ("-NOSCRIPT No matching script.\r\n", "NOSCRIPT"),
            ("-ERR unknown command 'X': -READONLY\r\n", "ERR"),
            (&format!("{wrapped}user_script:1: attempt to index a nil value\r\n"), "ERR"),
            (&format!("{wrapped}-not a code\r\n"), "ERR"),
        ] {
            assert_eq!(code_of(line.as_bytes()), code, "{line}");
        }
    }
}
