//! One logged-in connection to one server.
//!
//! A connection that failed in any way is never used again: a late reply
//! would be read as the answer to another command.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use redis::{RedisResult, Value};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::client::connection_like::ConnectionLike;
use crate::client::dns::Unresolved;
use crate::client::login::{self, KnownLoginStyle, LoginStyle, Role};
use crate::client::resp::{Reader, pack, protocol_error};
use crate::client::socket::{Arrived, Socket};
use crate::client::tls;
use crate::config::server::{Address, Host, STILL_FILES};
use crate::config::tls::TlsOptions;
use crate::error::Error;
use crate::runtime::deadline::left;

/// Most bytes that a connection keeps for packing its next command.
const KEPT_BUFFER: usize = 2 << 20;

/// A stream with TLS, and how it was asked for.
struct Encrypted {
    stream: StreamOwned<ClientConnection, Socket>,
    options: TlsOptions,
}

enum Stream {
    Plain(Socket),
    Tls(Box<Encrypted>),
}

/// A connection that has passed login and chosen its database.
pub struct Connection {
    stream: Stream,
    reader: Reader,
    read_timeout: Duration,
    packed: Vec<u8>,
    open: bool,
    style: LoginStyle,
    /// See [`Connection::take_login_close`].
    login_close: Option<String>,
    /// The databases that it has selected; the last one is the current one.
    databases: Vec<u32>,
    /// The one that the next commands are for.
    database: u32,
}

impl Connection {
    /// Connects, and logs in in one round trip, in the style that the server is
    /// known to understand. Where the server closes the connection, a second one
    /// logs in with only what is required. Blocks for up to the host's connect
    /// timeout for each of the two steps.
    ///
    /// # Errors
    /// [`Error::Connect`]: no connection, no TLS, or the login was refused.
    pub fn open(
        host: &Host,
        role: Role,
        tls: Option<&Arc<ClientConfig>>,
        known_style: &KnownLoginStyle,
    ) -> Result<Self, Error> {
        let fail = |reason: String| Error::Connect { host: host.address.to_string(), reason };
        let mut style = known_style.get();
        let mut login_close = None;
        loop {
            let mut connection = Self::connect(host, tls).map_err(fail)?;
            connection.login_close = login_close.take();
            match login::log_in(&mut connection, host, role, style) {
                Ok(style) => {
                    connection.style = style;
                    connection.read_timeout = host.read_timeout;
                    return Ok(connection);
                }
                Err(failure) if failure.was_closed && style != LoginStyle::Minimal => {
                    style = LoginStyle::Minimal;
                    login_close = Some(failure.reason);
                }
                Err(failure) => {
                    known_style.forget();
                    return Err(match failure.was_closed {
                        true => closed_at_login(host, failure.reason),
                        false => fail(failure.reason),
                    });
                }
            }
        }
    }

    fn connect(host: &Host, tls: Option<&Arc<ClientConfig>>) -> Result<Self, String> {
        let socket = Socket::connect(&host.address, host.timeout)
            .map_err(|e| format!("{e} ({})", remedy(&e, &host.address)))?;
        let stream = match tls {
            None => Stream::Plain(socket),
            Some(config) => Stream::Tls(Box::new(Encrypted {
                stream: tls::handshake(host, config, socket)?,
                options: host.tls.clone().unwrap_or_default(),
            })),
        };
        Ok(Self {
            stream,
            reader: Reader::default(),
            read_timeout: host.timeout, // until it has logged in
            packed: Vec::new(),
            open: true,
            style: LoginStyle::default(),
            login_close: None,
            databases: vec![host.database],
            database: host.database,
        })
    }

    /// Makes the next commands use the database of `host` and its time limits.
    pub fn use_for(&mut self, host: &Host) {
        self.database = host.database;
        self.read_timeout = host.read_timeout;
    }

    /// Prepares the database of the next commands; returns whether a SELECT has to
    /// be sent in their pipeline. The first SELECT of a database is a round trip
    /// of its own, as the commands must not be done in the wrong one; once it has
    /// succeeded on this connection, it goes along with the commands.
    fn prepare_database(&mut self) -> RedisResult<bool> {
        if self.databases.last() == Some(&self.database) {
            return Ok(false);
        }
        if self.databases.contains(&self.database) {
            return Ok(true);
        }
        self.select_now()?;
        Ok(false)
    }

    fn select_now(&mut self) -> RedisResult<()> {
        let mut packed = Vec::new();
        self.pack_select(&mut packed);
        let answer = self.exchange(&packed, 1, self.read_timeout)?.pop();
        self.selected(answer)
    }

    fn pack_select(&self, packed: &mut Vec<u8>) {
        pack(packed, &[b"SELECT", self.database.to_string().as_bytes()]);
    }

    /// Only a connection whose database is known may be used again.
    fn selected(&mut self, answer: Option<Value>) -> RedisResult<()> {
        match answer.map(Value::extract_error) {
            Some(Ok(Value::Okay)) => {
                self.databases.retain(|database| *database != self.database);
                self.databases.push(self.database);
                Ok(())
            }
            Some(Err(refusal)) => {
                self.open = false;
                Err(refusal)
            }
            _ => {
                self.open = false;
                Err(protocol_error("an unexpected answer to SELECT"))
            }
        }
    }

    /// The style in which it was logged in.
    pub fn login_style(&self) -> LoginStyle {
        self.style
    }

    /// Takes the reason why the first login ended with a closed connection, as
    /// long as nothing has been answered since: there may be no Redis server.
    pub fn take_login_close(&mut self) -> Option<String> {
        self.login_close.take()
    }

    /// Whether the last exchange has ended well.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Checks whether it can be used: still open, and no unexpected bytes have
    /// arrived. What has arrived is taken off the socket, and the connection
    /// counts as closed if the check fails. One system call, no round trip, no
    /// wait.
    pub fn check_usable(&mut self) -> bool {
        self.open = self.open
            && !self.reader.has_surplus()
            && match self.socket().take_arrived() {
                Ok(Arrived::Nothing) => true,
                Ok(Arrived::Bytes(bytes)) => match &mut self.stream {
                    Stream::Plain(_) => false,
                    Stream::Tls(tls) => tls::accept_records(&mut tls.stream.conn, &bytes),
                },
                Ok(Arrived::Closed) | Err(_) => false,
            };
        self.open
    }

    /// Takes what has arrived on a connection that only listens, without waiting:
    /// `None` if nothing has; no bytes if the connection was closed.
    pub fn take_arrived(&mut self) -> Option<Vec<u8>> {
        if self.reader.has_surplus() {
            return Some(self.reader.take_surplus());
        }
        let bytes = match self.socket().take_arrived() {
            Ok(Arrived::Nothing) => return None,
            Ok(Arrived::Bytes(bytes)) => bytes,
            Ok(Arrived::Closed) | Err(_) => return Some(Vec::new()),
        };
        match &mut self.stream {
            Stream::Plain(_) => Some(bytes),
            Stream::Tls(tls) => match tls::has_data_after(&mut tls.stream.conn, &bytes) {
                Ok(false) => None,
                Ok(true) => {
                    let mut text = Vec::new();
                    // It ends with what has arrived, which is an error to it.
                    let _ = tls.stream.conn.reader().read_to_end(&mut text);
                    Some(text)
                }
                Err(_) => Some(Vec::new()),
            },
        }
    }

    /// Sends `packed` and reads `count` replies, all within `limit`.
    pub(crate) fn exchange(
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
        self.login_close = None;
        Ok(replies)
    }

    /// Only an exchange that ends well leaves the connection usable.
    fn begin(&mut self, limit: Duration) -> RedisResult<()> {
        if !std::mem::take(&mut self.open) {
            return Err(protocol_error("nothing: this connection has failed before"));
        }
        self.socket().start(limit);
        Ok(())
    }

    /// Waits for the start of an answer, for up to `poll_timeout`.
    fn wait_for_answer(&mut self, poll_timeout: Duration) -> RedisResult<bool> {
        if self.reader.has_surplus() {
            return Ok(true);
        }
        if !self.socket().wait_readable(poll_timeout)? {
            return Ok(false);
        }
        let Stream::Tls(tls) = &mut self.stream else { return Ok(true) };
        // What has arrived may be records of TLS' own.
        match tls.stream.sock.take_arrived()? {
            Arrived::Nothing => Ok(false),
            Arrived::Bytes(bytes) => Ok(tls::has_data_after(&mut tls.stream.conn, &bytes)?),
            Arrived::Closed => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }

    fn socket(&mut self) -> &mut Socket {
        match &mut self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &mut tls.stream.sock,
        }
    }
}

/// The error for a login that the server ended by closing the connection, for
/// that `reason`. A TLS server does so on plain text: where that is possible, a
/// connection of its own asks whether the server speaks TLS, which may take up
/// to half a second.
pub fn closed_at_login(host: &Host, reason: String) -> Error {
    let is_plain = host.tls.is_none();
    let limit = left(host.timeout);
    let hint = Some(limit).filter(|limit| is_plain && !limit.is_zero());
    let reason = match hint.and_then(|limit| tls::probe_wants_tls(host, limit)) {
        Some(hint) => format!("{reason}: {hint}"),
        None => reason,
    };
    Error::Connect { host: host.address.to_string(), reason }
}

/// What to look at when there is no connection.
fn remedy(error: &io::Error, address: &Address) -> &'static str {
    if matches!(address, Address::Unix(path) if path.is_dir()) {
        return STILL_FILES;
    }
    match error.kind() {
        _ if error.get_ref().is_some_and(|e| e.is::<Unresolved>()) => {
            "is the host name correct, and do the name servers answer?"
        }
        io::ErrorKind::PermissionDenied => "is the user that PHP runs as allowed to open it?",
        _ => "is the server running and reachable?",
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(tls) => tls.stream.read(buffer).map_err(|e| tls::reworded(e, &tls.options)),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(tls) => tls.stream.write(bytes).map_err(|e| tls::reworded(e, &tls.options)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(tls) => tls.stream.flush().map_err(|e| tls::reworded(e, &tls.options)),
        }
    }
}

impl ConnectionLike for Connection {
    fn call_all(&mut self, commands: &[&[&[u8]]]) -> RedisResult<Vec<Value>> {
        let must_select = self.prepare_database()?;
        let mut packed = std::mem::take(&mut self.packed);
        packed.clear();
        if must_select {
            self.pack_select(&mut packed);
        }
        commands.iter().for_each(|command| pack(&mut packed, command));
        let count = commands.len() + usize::from(must_select);
        let answers = self.exchange(&packed, count, self.read_timeout);
        // Kept, so that large values do not fault in fresh pages each time.
        packed.shrink_to(KEPT_BUFFER);
        self.packed = packed;
        let mut answers = answers?;
        if must_select {
            let rest = answers.split_off(1);
            self.selected(answers.pop())?;
            answers = rest;
        }
        Ok(answers)
    }

    fn send(&mut self, command: &[&[u8]]) -> RedisResult<()> {
        if self.prepare_database()? {
            self.select_now()?;
        }
        let mut packed = Vec::new();
        pack(&mut packed, command);
        self.begin(self.read_timeout)?;
        self.stream.write_all(&packed)?;
        Ok(self.stream.flush()?)
    }

    fn receive(&mut self, poll_timeout: Duration) -> RedisResult<Option<Value>> {
        if !self.wait_for_answer(poll_timeout)? {
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
