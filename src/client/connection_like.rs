//! What can send commands to a server and receive the answers; the operations
//! on sessions are written against it.

use std::time::Duration;

use redis::{RedisResult, Value};

use crate::client::resp::protocol_error;
use crate::error::reason;

/// How much later than asked for a server may answer WAIT.
const LATE: Duration = Duration::from_millis(200);

/// Sends commands to a server.
pub trait ConnectionLike {
    /// Sends `commands` as one pipeline, in one round trip, and returns an answer
    /// to each. Blocks until the answers are there.
    ///
    /// # Errors
    /// What ended the connection. Errors that the server answers are values.
    fn call_all(&mut self, commands: &[&[&[u8]]]) -> RedisResult<Vec<Value>>;

    /// Sends one command, waits and returns its answer.
    ///
    /// # Errors
    /// What the server answered, or what ended the connection.
    fn call(&mut self, command: &[&[u8]]) -> RedisResult<Value> {
        match self.call_all(&[command])?.pop() {
            Some(answer) => answer.extract_error(),
            None => Err(protocol_error("no answer")),
        }
    }

    /// Sends a command that the server may answer much later. Until
    /// [`ConnectionLike::receive`] has returned the answer, the connection cannot
    /// be used for anything else, and is closed if it is given back.
    ///
    /// # Errors
    /// What ended the connection.
    fn send(&mut self, command: &[&[u8]]) -> RedisResult<()>;

    /// Waits up to `poll_timeout` for the answer to what was sent. None means
    /// that there is none yet, or that a signal came: ask again.
    ///
    /// # Errors
    /// What the server answered, or what ended the connection.
    fn receive(&mut self, poll_timeout: Duration) -> RedisResult<Option<Value>>;

    /// The longest wait for an answer.
    fn read_timeout(&self) -> Duration;

    /// Whether the server is receiving the slot of these keys: then some of them
    /// may be missing.
    fn is_asking(&self) -> bool {
        false
    }
}

/// A connection to a cluster node that is receiving a slot: each command needs
/// an ASKING before it.
pub struct Asking<'a>(pub &'a mut dyn ConnectionLike);

impl ConnectionLike for Asking<'_> {
    fn call_all(&mut self, commands: &[&[&[u8]]]) -> RedisResult<Vec<Value>> {
        let asking: &[&[u8]] = &[b"ASKING"];
        let commands: Vec<_> = commands.iter().flat_map(|command| [asking, *command]).collect();
        let answers = self.0.call_all(&commands)?;
        Ok(answers.into_iter().skip(1).step_by(2).collect())
    }

    fn send(&mut self, command: &[&[u8]]) -> RedisResult<()> {
        self.0.call(&[b"ASKING"])?;
        self.0.send(command)
    }

    fn receive(&mut self, poll_timeout: Duration) -> RedisResult<Option<Value>> {
        self.0.receive(poll_timeout)
    }

    fn read_timeout(&self) -> Duration {
        self.0.read_timeout()
    }

    fn is_asking(&self) -> bool {
        true
    }
}

/// A connection on which each pipeline ends with a WAIT until that many replicas
/// have what was written; with none asked for, the connection as it is.
pub struct WaitForReplicas<'a> {
    /// The connection.
    pub connection: &'a mut dyn ConnectionLike,
    /// How many replicas are asked for.
    pub replicas: u32,
    /// How long they are waited for, if not for as long as for any answer.
    pub limit: Option<Duration>,
    /// How many had it the last time.
    pub confirmed: u32,
    /// The error that the server answered instead, if it did.
    pub refusal: Option<String>,
}

impl ConnectionLike for WaitForReplicas<'_> {
    fn call_all(&mut self, commands: &[&[&[u8]]]) -> RedisResult<Vec<Value>> {
        if self.replicas == 0 {
            return self.connection.call_all(commands);
        }
        // Redis looks at such timeouts ten times a second: the answer must be
        // in time all the same.
        let limit = self.connection.read_timeout();
        let in_time = limit.saturating_sub(LATE.max(limit / 10));
        let timeout = self.limit.map_or(in_time, |limit| limit.min(in_time));
        let timeout = timeout.as_millis().max(1).to_string();
        let replicas = self.replicas.to_string();
        let wait: &[&[u8]] = &[b"WAIT", replicas.as_bytes(), timeout.as_bytes()];
        let mut answers = self.connection.call_all(&[commands, &[wait]].concat())?;
        (self.confirmed, self.refusal) = match answers.pop() {
            Some(Value::Int(count)) => (u32::try_from(count).unwrap_or(0), None),
            Some(Value::ServerError(error)) => (0, Some(reason(&error.into()))),
            _ => (0, None),
        };
        Ok(answers)
    }

    fn send(&mut self, command: &[&[u8]]) -> RedisResult<()> {
        self.connection.send(command)
    }

    fn receive(&mut self, poll_timeout: Duration) -> RedisResult<Option<Value>> {
        self.connection.receive(poll_timeout)
    }

    fn read_timeout(&self) -> Duration {
        self.connection.read_timeout()
    }

    fn is_asking(&self) -> bool {
        self.connection.is_asking()
    }
}
