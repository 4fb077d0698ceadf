//! One logged-in connection to one server.
//!
//! A connection that failed in any way is never used again: a late reply
//! would be read as the answer to somebody else's question.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use redis::{RedisResult, Value};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::client::dns::Unresolved;
use crate::client::link::ConnectionLike;
use crate::client::login::{self, Manners, Role, Style};
use crate::client::resp::{Reader, pack, protocol_error};
use crate::client::socket::{Idle, Socket};
use crate::client::tls;
use crate::config::server::{Address, Host, STILL_FILES};
use crate::config::tls::Tls;
use crate::error::Error;
use crate::runtime::deadline::left;

/// Most bytes that a connection keeps for packing its next command.
const KEPT_BUFFER: usize = 2 << 20;

/// A stream with TLS, and how it was asked for.
struct Encrypted {
    stream: StreamOwned<ClientConnection, Socket>,
    options: Tls,
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
    style: Style,
    doubt: Option<String>,
    /// The databases that it was let into; the last one is selected.
    databases: Vec<u32>,
    /// The one that what comes next is for.
    database: u32,
}

impl Connection {
    /// Connects, and logs in with one flight of commands, in the style that the
    /// server is known to understand. One that hangs up is greeted once more
    /// with what cannot be left out.
    ///
    /// # Errors
    /// [`Error::Connect`]: no connection, no TLS, or the login was refused.
    pub fn open(
        host: &Host,
        role: Role,
        tls: Option<&Arc<ClientConfig>>,
        manners: &Manners,
    ) -> Result<Self, Error> {
        let fail = |reason: String| Error::Connect { host: host.address.to_string(), reason };
        let mut style = manners.style();
        let mut doubt = None;
        loop {
            let mut connection = Self::connect(host, tls).map_err(fail)?;
            connection.doubt = doubt.take();
            match login::log_in(&mut connection, host, role, style) {
                Ok(style) => {
                    connection.style = style;
                    return Ok(connection);
                }
                Err(failure) if failure.hung_up && style != Style::Bare => {
                    style = Style::Bare;
                    doubt = Some(failure.reason);
                }
                Err(failure) => {
                    manners.forget();
                    return Err(match failure.hung_up {
                        true => hung_up(host, failure.reason),
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
            read_timeout: host.read_timeout,
            packed: Vec::new(),
            open: true,
            style: Style::default(),
            doubt: None,
            databases: vec![host.database],
            database: host.database,
        })
    }

    /// What comes next is for the database of `host`, within its time limits.
    pub fn serve(&mut self, host: &Host) {
        self.database = host.database;
        self.read_timeout = host.read_timeout;
    }

    /// Whether another database has to be selected. The first time that is a
    /// round trip: what comes next must not be done in the wrong one. Where it
    /// has gone well before on this connection, it goes along with what is next.
    fn must_select(&mut self) -> RedisResult<bool> {
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
    pub fn style(&self) -> Style {
        self.style
    }

    /// Why the other side hung up on the first login, where it has not answered
    /// anything since: it may not be a server at all.
    pub fn doubt(&mut self) -> Option<String> {
        self.doubt.take()
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
                    Stream::Tls(tls) => tls::accept_records(&mut tls.stream.conn, &bytes),
                },
                Ok(Idle::Closed) | Err(_) => false,
            };
        self.open
    }

    /// What has arrived on a connection that only listens, without waiting:
    /// nothing, or some bytes of it; none of them where it was closed.
    pub fn news(&mut self) -> Option<Vec<u8>> {
        if self.reader.has_surplus() {
            return Some(self.reader.take_surplus());
        }
        let bytes = match self.socket().idle() {
            Ok(Idle::Quiet) => return None,
            Ok(Idle::Bytes(bytes)) => bytes,
            Ok(Idle::Closed) | Err(_) => return Some(Vec::new()),
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
        self.doubt = None;
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
        match tls.stream.sock.idle()? {
            Idle::Quiet => Ok(false),
            Idle::Bytes(bytes) => Ok(tls::has_data_after(&mut tls.stream.conn, &bytes)?),
            Idle::Closed => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }

    fn socket(&mut self) -> &mut Socket {
        match &mut self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &mut tls.stream.sock,
        }
    }
}

/// The failure of a login, for that `reason`, with a server that hung up: one
/// of TLS does so on plain text, without a word.
pub fn hung_up(host: &Host, reason: String) -> Error {
    let is_plain = host.tls.is_none();
    let limit = left(host.timeout);
    let hint = Some(limit).filter(|limit| is_plain && !limit.is_zero());
    let reason = match hint.and_then(|limit| tls::wants_tls(host, limit)) {
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
        let must_select = self.must_select()?;
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
        if self.must_select()? {
            self.select_now()?;
        }
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
