//! One server, and the connections to it that are kept between requests.
//!
//! How to reach it is an endpoint's; the connections are in a pool that all
//! endpoints of one server and one login share.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::{RedisError, RedisResult};
use rustls::ClientConfig;

use crate::client::connection::{Connection, closed_at_login};
use crate::client::connection_like::{Asking, ConnectionLike};
use crate::client::login::{KnownLoginStyle, Role};
use crate::client::pools::Pools;
use crate::config::server::Host;
use crate::error::{Error, ends_connection, was_closed};
use crate::runtime::deadline::left;

use super::pool::PoolEntry;
pub use super::pool::{Pool, PooledConnection};

/// One server, and the connections to it.
#[derive(Clone)]
pub struct Endpoint {
    host: Host,
    role: Role,
    asking: bool,
    pool: Arc<Pool>,
}

impl Endpoint {
    /// Connects to nothing yet. `role` is what the server must be. Connections
    /// are shared with all that log in to the same server in the same way.
    pub fn new(host: Host, role: Role, pools: &Pools) -> Self {
        let pool = pools.pool(&host, role);
        Self { host, role, asking: false, pool }
    }

    /// How this server was described in the save path.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The same server, told that it is asked for a slot it is receiving.
    #[must_use]
    pub fn asking(&self) -> Self {
        Self { asking: true, ..self.clone() }
    }

    /// The same server, with no more than `limit` to connect and to log in.
    #[must_use]
    pub fn with_timeout_cap(&self, limit: Duration) -> Self {
        let host = Host { timeout: self.host.timeout.min(limit), ..self.host.clone() };
        Self { host, ..self.clone() }
    }

    /// Whether there is a connection that is idle, dead or alive.
    pub fn has_connection(&self) -> bool {
        self.pool.has_connection()
    }

    /// Whether a connection that is idle was closed by the other side.
    pub fn is_cut_off(&self) -> bool {
        self.pool.is_cut_off()
    }

    /// Opens a connection that is not kept here.
    ///
    /// # Errors
    /// See [`AttemptError`].
    pub fn open(&self) -> Result<Connection, AttemptError> {
        Connection::open(&self.host, self.role, self.tls()?.as_ref(), &self.pool.login_style)
            .map_err(AttemptError::Connect)
    }

    /// Closes the connections that are not to outlive a request.
    pub fn end_request(&self) {
        if !self.host.persistent {
            self.pool.close_idle(|_| true);
        }
    }

    /// Gives up all connections, those in use at their next exchange: the next
    /// ones are made to whatever the host's name means then.
    pub fn start_anew(&self) {
        self.pool.generation.fetch_add(1, Ordering::Relaxed);
        self.pool.close_idle(|_| true);
    }

    /// Runs one exchange. A kept connection that the server has closed in the
    /// meantime is replaced once, and the exchange repeated: it must be one
    /// that can be repeated. Any other failure closes the connection.
    ///
    /// # Errors
    /// See [`AttemptError`].
    pub fn run<T>(
        &self,
        exchange: impl FnMut(&mut dyn ConnectionLike) -> RedisResult<T>,
    ) -> Result<T, AttemptError> {
        let mut checkout = self.check_out()?;
        self.run_on(&mut checkout, exchange)
    }

    /// Sends a command that the server answers when it sees fit, and returns
    /// the connection the answer will come on.
    ///
    /// # Errors
    /// See [`AttemptError`].
    pub fn send(&self, command: &[&[u8]]) -> Result<PooledConnection, AttemptError> {
        let mut checkout = self.check_out()?;
        self.run_on(&mut checkout, |connection| connection.send(command))?;
        Ok(checkout)
    }

    fn run_on<T>(
        &self,
        entry: &mut PoolEntry,
        mut exchange: impl FnMut(&mut dyn ConnectionLike) -> RedisResult<T>,
    ) -> Result<T, AttemptError> {
        let asking = self.asking;
        let mut exchange = |connection: &mut Connection| {
            if asking { exchange(&mut Asking(connection)) } else { exchange(connection) }
        };
        let generation = self.pool.generation.load(Ordering::Relaxed);
        if let Some(connection) = entry.live(generation, &self.host) {
            match exchange(connection) {
                Err(error) if was_closed(&error) => {}
                answer => return entry.conclude(answer),
            }
        }
        if entry.close() {
            entry.shared.runtime.counters.replaced.fetch_add(1, Ordering::Relaxed);
            tracing::info!(host = %self.host.address, "replacing an unusable connection");
        }
        entry.generation = generation;
        let tls = self.tls()?;
        let connection =
            entry.connect(&self.host, self.role, tls.as_ref(), &self.pool.login_style)?;
        let style = connection.login_style();
        let answer = exchange(connection);
        if answer.is_ok() {
            self.pool.login_style.remember(style);
        } else if let Some(reason) = connection.take_login_close() {
            entry.close();
            return Err(AttemptError::Connect(closed_at_login(&self.host, reason)));
        }
        entry.conclude(answer)
    }

    fn check_out(&self) -> Result<PooledConnection, AttemptError> {
        self.pool.check_out(left(self.host.timeout)).map_err(|reason| {
            AttemptError::Connect(Error::Connect { host: self.host.address.to_string(), reason })
        })
    }

    /// What `error` means for an operation on this server.
    pub fn failure(&self, error: AttemptError) -> Error {
        match error {
            AttemptError::Connect(error) => error,
            AttemptError::Exchange(error) => Error::from_server(&self.host.address, &error),
        }
    }

    /// The TLS settings for a new connection, as their files are now.
    fn tls(&self) -> Result<Option<Arc<ClientConfig>>, AttemptError> {
        let Some(options) = &self.host.tls else { return Ok(None) };
        self.pool.tls.config(options).map(Some).map_err(|reason| {
            AttemptError::Connect(Error::Connect { host: self.host.address.to_string(), reason })
        })
    }
}

/// Why an exchange did not come to an end, for the caller that can do something.
#[derive(Debug)]
pub enum AttemptError {
    /// There is no connection: nothing was sent.
    Connect(Error),
    /// What the server answered, or what ended the connection.
    Exchange(RedisError),
}

impl AttemptError {
    /// Whether the server did not answer in time.
    pub fn may_be_timeout(&self) -> bool {
        match self {
            Self::Connect(_) => true, // it may be, and the next attempt will tell
            Self::Exchange(error) => error.is_timeout(),
        }
    }
}

impl PooledConnection {
    /// The longest wait for an answer on it.
    pub fn read_timeout(&self) -> Duration {
        self.connection.as_deref().map_or(Duration::ZERO, ConnectionLike::read_timeout)
    }

    /// Waits up to `poll_timeout` for the answer to what was sent, see [`ConnectionLike`].
    ///
    /// # Errors
    /// What the server answered, or what ended the connection.
    pub fn receive(&mut self, poll_timeout: Duration) -> RedisResult<Option<redis::Value>> {
        match self.connection.as_deref_mut() {
            Some(connection) => connection.receive(poll_timeout),
            None => Err(io::Error::from(io::ErrorKind::NotConnected).into()),
        }
    }

    /// Closes the connection, because its answer is unusable.
    pub fn discard(mut self) {
        self.close();
    }
}

impl PoolEntry {
    /// The connection in here, if it can be used in this `generation`, for the
    /// database and with the time limits of `host`.
    fn live(&mut self, generation: u64, host: &Host) -> Option<&mut Connection> {
        let connection =
            self.connection.as_deref_mut().filter(|_| self.generation == generation)?;
        if !connection.check_usable() {
            return None;
        }
        connection.use_for(host);
        self.shared.runtime.counters.reused.fetch_add(1, Ordering::Relaxed);
        Some(connection)
    }

    fn connect(
        &mut self,
        host: &Host,
        role: Role,
        tls: Option<&Arc<ClientConfig>>,
        known_style: &KnownLoginStyle,
    ) -> Result<&mut Connection, AttemptError> {
        let connection =
            Connection::open(host, role, tls, known_style).map_err(AttemptError::Connect)?;
        let connection = Box::new(connection);
        self.shared.runtime.counters.open.fetch_add(1, Ordering::Relaxed);
        tracing::info!(host = %host.address, "connected");
        self.starts_to_age(host.max_connection_age);
        Ok(self.connection.insert(connection))
    }

    /// Closes the connection if its answer is unusable: more may be
    /// on its way, which would be taken for the answer to another request.
    fn conclude<T>(&mut self, answer: RedisResult<T>) -> Result<T, AttemptError> {
        answer.map_err(|error| {
            if ends_connection(&error) {
                self.close();
            }
            AttemptError::Exchange(error)
        })
    }
}
