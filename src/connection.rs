//! One logged-in connection to one server, and how it comes to be.
//!
//! A connection that failed in any way is never used again: a late reply
//! would be read as the answer to somebody else's question.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use redis::{RedisResult, Value};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::error::{self, Error};
use crate::resp::{Reader, garbage, pack};
use crate::save_path::Host;
use crate::socket::{Idle, Socket};
use crate::tls;

/// What `CLIENT LIST` calls us.
const CLIENT_NAME: &[u8] = b"redis_session";
/// Most bytes that a connection keeps for packing its next command.
const KEPT_BUFFER: usize = 2 << 20;

enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Socket>>),
}

/// What a server has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Whatever it is.
    Any,
    /// One that takes writes. A server that was demoted says so at login, so
    /// that a stale answer of a sentinel does no harm.
    Primary,
    /// One that is only read from; in a cluster it must be told so.
    Replica,
}

/// A connection that has passed login and chosen its database.
pub struct Connection {
    stream: Stream,
    reader: Reader,
    read_timeout: Duration,
    packed: Vec<u8>,
    open: bool,
}

/// What operations on sessions are made of.
pub trait Link {
    /// Sends `commands` in one flight and returns an answer to each.
    ///
    /// # Errors
    /// What ended the connection. Errors that the server answers are values.
    fn call_all(&mut self, commands: &[&[&[u8]]]) -> RedisResult<Vec<Value>>;

    /// Sends one command and returns its answer.
    ///
    /// # Errors
    /// What the server answered, or what ended the connection.
    fn call(&mut self, command: &[&[u8]]) -> RedisResult<Value> {
        match self.call_all(&[command])?.pop() {
            Some(answer) => answer.extract_error(),
            None => Err(garbage("no answer")),
        }
    }

    /// Sends a command that the server answers when it sees fit. Until
    /// [`Link::receive`] has got the answer, the connection is of no other
    /// use, and closed if it is given back.
    ///
    /// # Errors
    /// What ended the connection.
    fn send(&mut self, command: &[&[u8]]) -> RedisResult<()>;

    /// Waits up to `patience` for the answer to what was sent. None means
    /// that there is none yet, or that a signal came: ask again.
    ///
    /// # Errors
    /// What the server answered, or what ended the connection.
    fn receive(&mut self, patience: Duration) -> RedisResult<Option<Value>>;

    /// The longest wait for an answer.
    fn read_timeout(&self) -> Duration;
}

impl Connection {
    /// Connects, and logs in with one flight of commands.
    ///
    /// # Errors
    /// [`Error::Connect`]: no connection, no TLS, or the login was refused.
    pub fn open(host: &Host, role: Role, tls: Option<&Arc<ClientConfig>>) -> Result<Self, Error> {
        let fail = |reason: String| Error::Connect { host: host.address.to_string(), reason };
        let socket = Socket::connect(&host.address, host.timeout)
            .map_err(|e| fail(format!("{e} (is the server running and reachable?)")))?;
        let stream = match tls {
            None => Stream::Plain(socket),
            Some(config) => {
                Stream::Tls(Box::new(tls::handshake(host, config, socket).map_err(fail)?))
            }
        };
        let mut connection = Self {
            stream,
            reader: Reader::default(),
            read_timeout: host.read_timeout,
            packed: Vec::new(),
            open: true,
        };
        connection.login(host, role).map_err(fail)?;
        Ok(connection)
    }

    /// Whether the last exchange has ended well.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether it can be used: still open, and nothing waits to be read that
    /// nobody asked for. Costs one system call and no round trip.
    pub fn is_usable(&mut self) -> bool {
        self.open = self.open
            && !self.reader.has_surplus()
            && match self.socket().idle() {
                Ok(Idle::Quiet) => true,
                Ok(Idle::Bytes(bytes)) => match &mut self.stream {
                    Stream::Plain(_) => false,
                    Stream::Tls(tls) => tls::accept_records(&mut tls.conn, &bytes),
                },
                Ok(Idle::Closed) | Err(_) => false,
            };
        self.open
    }

    /// HELLO, AUTH, SELECT and the client's name, in one flight.
    ///
    /// Two kinds of servers are asked a second time: those without HELLO, in
    /// the older way; and those that know no such user, without it, because
    /// platforms put a name into their URLs where there is only a password.
    fn login(&mut self, host: &Host, role: Role) -> Result<(), String> {
        let user = host.auth.as_ref().and_then(|auth| auth.user.as_deref());
        let password = host.auth.as_ref().map(|auth| auth.password.expose());
        let mut answers = self.greet(host, role, user)?;
        if user.is_some() && refusal(&answers).is_some_and(is_unknown_user) {
            let nameless = self.greet(host, role, None)?;
            if refusal(&nameless).is_none() {
                answers = nameless;
            }
        }
        if let Some(refusal) = refusal(&answers) {
            return Err(format!("the server refused the login: {}", without(refusal, password)));
        }
        match role {
            Role::Primary if answers.iter().any(is_of_replica) => {
                Err("it is a replica now, not the primary".to_owned())
            }
            Role::Primary | Role::Any | Role::Replica => Ok(()),
        }
    }

    fn greet(&mut self, host: &Host, role: Role, user: Option<&str>) -> Result<Vec<Value>, String> {
        let mut hello: Vec<&[u8]> = vec![b"HELLO", b"3"];
        if let Some(auth) = &host.auth {
            let user = user.unwrap_or("default");
            hello.extend([&b"AUTH"[..], user.as_bytes(), auth.password.expose().as_bytes()]);
        }
        hello.extend([&b"SETNAME"[..], CLIENT_NAME]);
        let answers = self.flight(&[&hello], host, role)?;
        if refusal(&answers).is_some_and(is_unknown_command) {
            return self.greet_plainly(host, role, user);
        }
        Ok(answers)
    }

    fn greet_plainly(
        &mut self,
        host: &Host,
        role: Role,
        user: Option<&str>,
    ) -> Result<Vec<Value>, String> {
        let mut commands: Vec<&[&[u8]]> = Vec::new();
        let password = host.auth.as_ref().map(|auth| auth.password.expose());
        let auth: Vec<&[u8]> =
            [Some("AUTH"), user, password].into_iter().flatten().map(str::as_bytes).collect();
        commands.extend(password.map(|_| auth.as_slice()));
        let role_of: &[&[u8]] = &[b"ROLE"];
        let name: &[&[u8]] = &[b"CLIENT", b"SETNAME", CLIENT_NAME];
        commands.extend([role_of, name]);
        let mut answers = self.flight(&commands, host, role)?;
        // A server that takes no name, or does not tell its role, is as good.
        let optional = usize::from(password.is_some());
        let mut index = 0;
        answers.retain(|answer| {
            index += 1;
            let spare = (optional + 1..=optional + 2).contains(&index);
            !(spare && matches!(answer, Value::ServerError(e) if e.code() != "NOAUTH"))
        });
        Ok(answers)
    }

    /// Sends `greeting` and what follows any greeting, all at once, and reads
    /// an answer to each.
    fn flight(
        &mut self,
        greeting: &[&[&[u8]]],
        host: &Host,
        role: Role,
    ) -> Result<Vec<Value>, String> {
        let database = host.database.to_string();
        let mut commands = greeting.to_vec();
        let select: &[&[u8]] = &[b"SELECT", database.as_bytes()];
        commands.extend((host.database != 0).then_some(select));
        // In a cluster, a replica answers reads only if asked to.
        let read_only: &[&[u8]] = &[b"READONLY"];
        commands.extend((role == Role::Replica).then_some(read_only));

        let mut packed = Vec::new();
        commands.iter().for_each(|command| pack(&mut packed, command));
        self.exchange(&packed, commands.len(), host.timeout)
            .map_err(|e| format!("login failed: {}", error::reason(&e)))
    }

    /// Sends `packed` and reads `count` replies, all within `limit`.
    fn exchange(
        &mut self,
        packed: &[u8],
        count: usize,
        limit: Duration,
    ) -> RedisResult<Vec<Value>> {
        self.begin(limit)?;
        self.stream.write_all(packed)?;
        self.stream.flush()?;
        let mut replies = Vec::with_capacity(count);
        for _ in 0..count {
            replies.push(self.reader.read(&mut self.stream)?);
        }
        self.open = true;
        Ok(replies)
    }

    /// Only an exchange that ends well leaves the connection usable.
    fn begin(&mut self, limit: Duration) -> RedisResult<()> {
        if !std::mem::take(&mut self.open) {
            return Err(garbage("nothing: this connection has failed before"));
        }
        self.socket().start(limit);
        Ok(())
    }

    /// Waits for the start of an answer.
    fn has_arrived(&mut self, patience: Duration) -> RedisResult<bool> {
        if self.reader.has_surplus() {
            return Ok(true);
        }
        if !self.socket().is_readable_within(patience)? {
            return Ok(false);
        }
        let Stream::Tls(tls) = &mut self.stream else { return Ok(true) };
        // What has arrived may be records of TLS' own.
        match tls.sock.idle()? {
            Idle::Quiet => Ok(false),
            Idle::Bytes(bytes) => Ok(tls::has_data_after(&mut tls.conn, &bytes)?),
            Idle::Closed => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }

    fn socket(&mut self) -> &mut Socket {
        match &mut self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &mut tls.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

impl Link for Connection {
    fn call_all(&mut self, commands: &[&[&[u8]]]) -> RedisResult<Vec<Value>> {
        let mut packed = std::mem::take(&mut self.packed);
        packed.clear();
        commands.iter().for_each(|command| pack(&mut packed, command));
        let answers = self.exchange(&packed, commands.len(), self.read_timeout);
        // Kept, so that large values do not fault in fresh pages each time.
        packed.shrink_to(KEPT_BUFFER);
        self.packed = packed;
        answers
    }

    fn send(&mut self, command: &[&[u8]]) -> RedisResult<()> {
        let mut packed = Vec::new();
        pack(&mut packed, command);
        self.begin(self.read_timeout)?;
        self.stream.write_all(&packed)?;
        Ok(self.stream.flush()?)
    }

    fn receive(&mut self, patience: Duration) -> RedisResult<Option<Value>> {
        if !self.has_arrived(patience)? {
            return Ok(None);
        }
        let limit = self.read_timeout;
        self.socket().start(limit);
        let answer = self.reader.read(&mut self.stream)?;
        self.open = true;
        answer.extract_error().map(Some)
    }

    fn read_timeout(&self) -> Duration {
        self.read_timeout
    }
}

/// A connection on which each command is followed, in the same flight, by a
/// wait until that many replicas have what was written; with none asked for,
/// the connection as it is.
pub struct Confirmed<'a> {
    /// The connection.
    pub link: &'a mut dyn Link,
    /// How many replicas are asked for.
    pub replicas: u32,
    /// How many had it the last time.
    pub confirmed: u32,
}

impl Link for Confirmed<'_> {
    fn call_all(&mut self, commands: &[&[&[u8]]]) -> RedisResult<Vec<Value>> {
        if self.replicas == 0 {
            return self.link.call_all(commands);
        }
        // A little less than the read timeout, so that the answer is in time.
        let timeout = self.link.read_timeout().mul_f32(0.9).as_millis().max(1).to_string();
        let replicas = self.replicas.to_string();
        let wait: &[&[u8]] = &[b"WAIT", replicas.as_bytes(), timeout.as_bytes()];
        let mut answers = self.link.call_all(&[commands, &[wait]].concat())?;
        self.confirmed = match answers.pop() {
            Some(Value::Int(count)) => u32::try_from(count).unwrap_or(0),
            _ => 0,
        };
        Ok(answers)
    }

    fn send(&mut self, command: &[&[u8]]) -> RedisResult<()> {
        self.link.send(command)
    }

    fn receive(&mut self, patience: Duration) -> RedisResult<Option<Value>> {
        self.link.receive(patience)
    }

    fn read_timeout(&self) -> Duration {
        self.link.read_timeout()
    }
}

/// The first error among `answers`.
fn refusal(answers: &[Value]) -> Option<&redis::ServerError> {
    answers.iter().find_map(|answer| match answer {
        Value::ServerError(refusal) => Some(refusal),
        _ => None,
    })
}

/// Whether this is a replica's answer to HELLO or ROLE.
fn is_of_replica(answer: &Value) -> bool {
    let says = |value: &Value, words: &[&str]| match value {
        Value::BulkString(text) => words.iter().any(|word| text == word.as_bytes()),
        Value::SimpleString(text) => words.contains(&text.as_str()),
        _ => false,
    };
    match answer {
        Value::Map(pairs) => pairs
            .iter()
            .any(|(name, value)| says(name, &["role"]) && says(value, &["replica", "slave"])),
        Value::Array(parts) => parts.first().is_some_and(|role| says(role, &["slave"])),
        _ => false,
    }
}

/// Before Redis 6 there were no users, and AUTH took one word.
fn is_unknown_user(refusal: &redis::ServerError) -> bool {
    let details = refusal.details().unwrap_or_default();
    refusal.code() == "WRONGPASS" || details.contains("wrong number of arguments for 'auth'")
}

fn is_unknown_command(refusal: &redis::ServerError) -> bool {
    let details = refusal.details().unwrap_or_default().to_ascii_lowercase();
    details.contains("unknown command") || refusal.code() == "NOPROTO"
}

/// What the server said; only the error's code where the rest may show the
/// password, as some servers repeat a command they refuse.
fn without(refusal: &redis::ServerError, password: Option<&str>) -> String {
    let details = refusal.details().unwrap_or_default();
    match password {
        Some(password) if details.contains(password) => {
            format!("{} (the rest is withheld, as it repeats the password)", refusal.code())
        }
        _ => format!("{} {details}", refusal.code()),
    }
}
