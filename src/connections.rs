//! One server, and the connections to it that are kept between requests.
//!
//! r2d2 keeps the slots; a slot connects at its first use, in the thread that
//! needs it, so that a refused port fails at once.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{RedisError, RedisResult};
use rustls::ClientConfig;

use crate::connection::{Connection, hung_up};
use crate::deadline::left;
use crate::error::{Error, ends_connection, was_closed};
use crate::link::{Asking, Link};
use crate::login::{Manners, Role};
use crate::process::{Counters, Process};
use crate::save_path::Host;
use crate::tls;

/// Connections that one process may hold to one server: as many as it has
/// threads that handle requests at the same time.
const MAX_CONNECTIONS: u32 = 256;

/// One server, and the connections to it.
#[derive(Clone)]
pub struct Endpoint {
    host: Host,
    role: Role,
    asking: bool,
    tls: Arc<tls::Context>,
    manners: Arc<Manners>,
    /// None where the process could not have the thread that r2d2 needs: then
    /// each exchange has a connection of its own.
    slots: Option<r2d2::Pool<Slots>>,
    counters: Arc<Counters>,
    /// How often all connections were given up. Those of earlier eras are not
    /// used again, wherever they are now.
    era: Arc<AtomicU64>,
}

impl Endpoint {
    /// Connects to nothing yet. `role` is what the server must be.
    pub fn new(host: Host, role: Role, process: &Process) -> Self {
        let pool = |helper| {
            r2d2::Pool::builder()
                .max_size(MAX_CONNECTIONS)
                .min_idle(Some(0))
                .test_on_check_out(false)
                .idle_timeout(None)
                .max_lifetime(None)
                .connection_timeout(host.timeout.max(Duration::from_millis(1)))
                .thread_pool(helper)
                .error_handler(Box::new(r2d2::NopErrorHandler))
                .build_unchecked(Slots(process.counters.clone()))
        };
        let slots = process.helper().map(pool);
        Self {
            host,
            role,
            asking: false,
            tls: Arc::default(),
            manners: Arc::default(),
            slots,
            counters: process.counters.clone(),
            era: Arc::default(),
        }
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
    pub fn hasty(&self, limit: Duration) -> Self {
        let host = Host { timeout: self.host.timeout.min(limit), ..self.host.clone() };
        Self { host, ..self.clone() }
    }

    /// Whether there is a connection that nobody is using, dead or alive.
    pub fn has_connection(&self) -> bool {
        self.try_get().is_some_and(|slot| slot.connection.is_some())
    }

    /// Opens a connection that is not kept here.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub fn open(&self) -> Result<Connection, Trouble> {
        Connection::open(&self.host, self.role, self.tls()?.as_ref(), &self.manners)
            .map_err(Trouble::Connect)
    }

    /// Closes the connections that are not to outlive a request.
    pub fn end_request(&self) {
        if !self.host.persistent {
            self.close_idle();
        }
    }

    /// Gives up all connections, those in use at their next exchange: the next
    /// ones are made to whatever the host's name means then.
    pub fn start_anew(&self) {
        self.era.fetch_add(1, Ordering::Relaxed);
        self.close_idle();
    }

    /// Runs one exchange. A kept connection that the server has closed in the
    /// meantime is replaced once, and the exchange repeated: it must be one
    /// that can be repeated. Any other failure closes the connection.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub fn run<T>(
        &self,
        exchange: impl FnMut(&mut dyn Link) -> RedisResult<T>,
    ) -> Result<T, Trouble> {
        self.run_on(&mut self.check_out()?, exchange)
    }

    /// Sends a command that the server answers when it sees fit, and returns
    /// the connection the answer will come on.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub fn send(&self, command: &[&[u8]]) -> Result<Checkout, Trouble> {
        let mut checkout = self.check_out()?;
        self.run_on(&mut checkout, |link| link.send(command))?;
        Ok(checkout)
    }

    fn run_on<T>(
        &self,
        Checkout(slot): &mut Checkout,
        mut exchange: impl FnMut(&mut dyn Link) -> RedisResult<T>,
    ) -> Result<T, Trouble> {
        let asking = self.asking;
        let mut exchange = |link: &mut Connection| {
            if asking { exchange(&mut Asking(link)) } else { exchange(link) }
        };
        let era = self.era.load(Ordering::Relaxed);
        if let Some(connection) = slot.live(era) {
            match exchange(connection) {
                Err(error) if was_closed(&error) => {}
                answer => return slot.conclude(answer),
            }
        }
        if slot.discard() {
            slot.counters.replaced.fetch_add(1, Ordering::Relaxed);
            tracing::info!(host = %self.host.address, "replacing a connection that is of no use any more");
        }
        slot.era = era;
        let tls = self.tls()?;
        let connection = slot.connect(&self.host, self.role, tls.as_ref(), &self.manners)?;
        let style = connection.style();
        let answer = exchange(connection);
        if answer.is_ok() {
            self.manners.learn(style);
        } else if let Some(reason) = connection.doubt() {
            slot.discard();
            return Err(Trouble::Connect(hung_up(&self.host, reason)));
        }
        slot.conclude(answer)
    }

    fn check_out(&self) -> Result<Checkout, Trouble> {
        let patience = left(self.host.timeout);
        let Some(slots) = &self.slots else {
            let counters = self.counters.clone();
            return Ok(Checkout(InUse::Alone(Slot { connection: None, era: 0, counters })));
        };
        let slot = slots.get_timeout(patience).map_err(|_| self.no_room(slots, patience))?;
        let slot = InUse::Pooled(slot);
        if slot.connection.is_some() {
            return Ok(Checkout(slot));
        }
        // A slot that was made for a thread that then took another one. What
        // is connected comes first, or there would be more connections than
        // are ever used at a time.
        let mut empty = Vec::new();
        while let Some(other) = self.try_get() {
            if other.connection.is_some() {
                return Ok(Checkout(other));
            }
            empty.push(other);
        }
        Ok(Checkout(slot))
    }

    /// A slot that nobody is using, if there is one.
    fn try_get(&self) -> Option<InUse> {
        self.slots.as_ref()?.try_get().map(InUse::Pooled)
    }

    /// There was no slot within `patience`.
    fn no_room(&self, slots: &r2d2::Pool<Slots>, patience: Duration) -> Trouble {
        let reason = if slots.state().connections >= MAX_CONNECTIONS {
            format!("all {MAX_CONNECTIONS} connections of this process are in use")
        } else {
            let seconds = patience.as_secs_f64();
            format!("the thread that makes room for connections has not done so within {seconds} s")
        };
        Trouble::Connect(Error::Connect { host: self.host.address.to_string(), reason })
    }

    /// What `trouble` means for an operation on this server.
    pub fn failure(&self, trouble: Trouble) -> Error {
        match trouble {
            Trouble::Connect(error) => error,
            Trouble::Exchange(error) => Error::from_server(&self.host.address, &error),
        }
    }

    /// The TLS settings for a new connection, as their files are now.
    fn tls(&self) -> Result<Option<Arc<ClientConfig>>, Trouble> {
        let Some(options) = &self.host.tls else { return Ok(None) };
        self.tls.config(options).map(Some).map_err(|reason| {
            Trouble::Connect(Error::Connect { host: self.host.address.to_string(), reason })
        })
    }

    /// Closes the connections that nobody uses now.
    fn close_idle(&self) {
        let idle: Vec<_> = std::iter::from_fn(|| self.try_get()).collect();
        idle.into_iter().for_each(|mut slot| {
            slot.discard();
        });
    }
}

/// Why an exchange did not come to an end, for whoever can do something.
#[derive(Debug)]
pub enum Trouble {
    /// There is no connection: nothing was sent.
    Connect(Error),
    /// What the server answered, or what ended the connection.
    Exchange(RedisError),
}

impl Trouble {
    /// Whether the server did not answer in time.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Connect(_) => true, // it may be, and the next attempt will tell
            Self::Exchange(error) => error.is_timeout(),
        }
    }
}

/// A connection in use. One whose last exchange did not end well is closed
/// when it is given back.
pub struct Checkout(InUse);

/// A slot in use, and whether it is kept afterwards.
enum InUse {
    Pooled(r2d2::PooledConnection<Slots>),
    Alone(Slot),
}

impl Deref for InUse {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        match self {
            Self::Pooled(slot) => slot,
            Self::Alone(slot) => slot,
        }
    }
}

impl DerefMut for InUse {
    fn deref_mut(&mut self) -> &mut Slot {
        match self {
            Self::Pooled(slot) => slot,
            Self::Alone(slot) => slot,
        }
    }
}

impl Checkout {
    /// The longest wait for an answer on it.
    pub fn read_timeout(&self) -> Duration {
        self.0.connection.as_deref().map_or(Duration::ZERO, Link::read_timeout)
    }

    /// Waits up to `patience` for the answer to what was sent, see [`Link`].
    ///
    /// # Errors
    /// What the server answered, or what ended the connection.
    pub fn receive(&mut self, patience: Duration) -> RedisResult<Option<redis::Value>> {
        match self.0.connection.as_deref_mut() {
            Some(connection) => connection.receive(patience),
            None => Err(io::Error::from(io::ErrorKind::NotConnected).into()),
        }
    }

    /// Closes the connection, because what it has answered is of no use.
    pub fn discard(mut self) {
        self.0.discard();
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if self.0.connection.as_ref().is_some_and(|connection| !connection.is_open()) {
            self.0.discard();
        }
    }
}

/// Room for one connection.
pub struct Slot {
    connection: Option<Box<Connection>>,
    /// The one it was made in, see [`Endpoint::start_anew`].
    era: u64,
    counters: Arc<Counters>,
}

impl Slot {
    /// The connection in here, if it can be used in this `era`.
    fn live(&mut self, era: u64) -> Option<&mut Connection> {
        let connection = self.connection.as_deref_mut().filter(|_| self.era == era)?;
        if !connection.is_usable() {
            return None;
        }
        self.counters.reused.fetch_add(1, Ordering::Relaxed);
        Some(connection)
    }

    fn connect(
        &mut self,
        host: &Host,
        role: Role,
        tls: Option<&Arc<ClientConfig>>,
        manners: &Manners,
    ) -> Result<&mut Connection, Trouble> {
        let connection = Connection::open(host, role, tls, manners).map_err(Trouble::Connect)?;
        let connection = Box::new(connection);
        self.counters.open.fetch_add(1, Ordering::Relaxed);
        tracing::info!(host = %host.address, "connected");
        Ok(self.connection.insert(connection))
    }

    /// Closes the connection if what it has answered is of no use: more may be
    /// on its way, which would be taken for the answer to somebody else.
    fn conclude<T>(&mut self, answer: RedisResult<T>) -> Result<T, Trouble> {
        answer.map_err(|error| {
            if ends_connection(&error) {
                self.discard();
            }
            Trouble::Exchange(error)
        })
    }

    /// Closes the connection. Returns whether there was one.
    fn discard(&mut self) -> bool {
        let closed = self.connection.take().is_some();
        self.counters.open.fetch_sub(closed.into(), Ordering::Relaxed);
        closed
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.discard();
    }
}

/// Makes slots; they do their connecting themselves.
pub struct Slots(Arc<Counters>);

impl r2d2::ManageConnection for Slots {
    type Connection = Slot;
    type Error = io::Error;

    fn connect(&self) -> io::Result<Slot> {
        Ok(Slot { connection: None, era: 0, counters: self.0.clone() })
    }

    fn is_valid(&self, _: &mut Slot) -> io::Result<()> {
        Ok(())
    }

    fn has_broken(&self, _: &mut Slot) -> bool {
        false
    }
}
