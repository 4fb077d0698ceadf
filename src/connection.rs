//! One logged-in connection to one server, and how it comes to be.
//!
//! A connection that failed in any way is never used again: a late reply
//! would be read as the answer to somebody else's question.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use redis::{ConnectionLike, RedisResult, Value};
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

/// A connection that has passed login and chosen its database.
pub struct Connection {
    stream: Stream,
    reader: Reader,
    read_timeout: Duration,
    packed: Vec<u8>,
    database: i64,
    open: bool,
}

/// A connection that packs commands itself, and need not wait for an answer.
pub trait Link: ConnectionLike {
    /// Sends one command and returns its answer.
    ///
    /// # Errors
    /// What the server answered, or what ended the connection.
    fn call(&mut self, args: &[&[u8]]) -> RedisResult<Value>;

    /// Sends a command that the server answers when it sees fit. Until
    /// [`Link::receive`] has got the answer, the connection is of no other
    /// use, and closed if it is given back.
    ///
    /// # Errors
    /// What ended the connection.
    fn send(&mut self, args: &[&[u8]]) -> RedisResult<()>;

    /// Waits up to `patience` for the answer to what was sent. None means
    /// that there is none yet, or that a signal came: ask again.
    ///
    /// # Errors
    /// What the server answered, or what ended the connection.
    fn receive(&mut self, patience: Duration) -> RedisResult<Option<Value>>;
}

impl Connection {
    /// Connects, and logs in with one flight of commands.
    ///
    /// # Errors
    /// [`Error::Connect`]: no connection, no TLS, or the login was refused.
    pub fn open(host: &Host, tls: Option<&Arc<ClientConfig>>) -> Result<Self, Error> {
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
            database: host.database.into(),
            open: true,
        };
        connection.login(host).map_err(fail)?;
        Ok(connection)
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

    /// HELLO, AUTH, SELECT and the client's name, in one flight. Servers and
    /// proxies without HELLO are asked again in the older way.
    fn login(&mut self, host: &Host) -> Result<(), String> {
        let user = host.auth.as_ref().and_then(|auth| auth.user.as_deref());
        let password = host.auth.as_ref().map(|auth| auth.password.expose());
        let database = host.database.to_string();
        let select: &[&[u8]] = &[b"SELECT", database.as_bytes()];

        let mut hello: Vec<&[u8]> = vec![b"HELLO", b"3"];
        if let Some(password) = password {
            let user = user.unwrap_or("default");
            hello.extend([&b"AUTH"[..], user.as_bytes(), password.as_bytes()]);
        }
        hello.extend([&b"SETNAME"[..], CLIENT_NAME]);
        let mut modern = vec![hello.as_slice()];
        modern.extend((host.database != 0).then_some(select));
        let mut answers = self.flight(&modern, host)?;
        if let Some(Value::ServerError(refusal)) = answers.first()
            && is_unknown_command(refusal)
        {
            let auth: Vec<&[u8]> =
                [Some("AUTH"), user, password].into_iter().flatten().map(str::as_bytes).collect();
            let mut classic: Vec<&[&[u8]]> = Vec::new();
            classic.extend(password.map(|_| auth.as_slice()));
            classic.extend((host.database != 0).then_some(select));
            let name: &[&[u8]] = &[b"CLIENT", b"SETNAME", CLIENT_NAME];
            classic.push(name);
            answers = self.flight(&classic, host)?;
            answers.pop(); // a server that takes no name is as good
        }
        for answer in answers {
            if let Value::ServerError(refusal) = answer {
                return Err(format!(
                    "the server refused the login: {}",
                    without(&refusal, password)
                ));
            }
        }
        Ok(())
    }

    /// Sends all of `commands` at once and reads an answer to each.
    fn flight(&mut self, commands: &[&[&[u8]]], host: &Host) -> Result<Vec<Value>, String> {
        let mut packed = Vec::new();
        for command in commands {
            pack(&mut packed, command);
        }
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

impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, packed: &[u8]) -> RedisResult<Value> {
        match self.req_packed_commands(packed, 0, 1)?.pop() {
            Some(Value::ServerError(refusal)) => Err(refusal.into()),
            Some(value) => Ok(value),
            None => Err(garbage("no answer")),
        }
    }

    fn req_packed_commands(
        &mut self,
        packed: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let mut replies = self.exchange(packed, offset + count, self.read_timeout)?;
        Ok(replies.split_off(offset))
    }

    fn get_db(&self) -> i64 {
        self.database
    }

    fn check_connection(&mut self) -> bool {
        self.is_usable()
    }

    fn is_open(&self) -> bool {
        self.open
    }
}

impl Link for Connection {
    fn call(&mut self, args: &[&[u8]]) -> RedisResult<Value> {
        let mut packed = std::mem::take(&mut self.packed);
        packed.clear();
        pack(&mut packed, args);
        let answer = self.req_packed_command(&packed);
        // Kept, so that large values do not fault in fresh pages each time.
        packed.shrink_to(KEPT_BUFFER);
        self.packed = packed;
        answer
    }

    fn send(&mut self, args: &[&[u8]]) -> RedisResult<()> {
        let mut packed = Vec::new();
        pack(&mut packed, args);
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
        match answer {
            Value::ServerError(refusal) => Err(refusal.into()),
            answer => Ok(Some(answer)),
        }
    }
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
        Some(password) if details.contains(password) => refusal.code().to_owned(),
        _ => format!("{} {details}", refusal.code()),
    }
}
