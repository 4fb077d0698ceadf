//! The connections of this process, kept between requests.
//!
//! r2d2 keeps the slots; a slot connects at its first use, in the thread that
//! needs it, so that a refused port fails at once. After a fork the child
//! starts with nothing: the parent's sockets are left alone.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use nix::sys::signal::{SigSet, SigmaskHow};
use redis::{ConnectionLike, RedisError, RedisResult};
use rustls::ClientConfig;
use scheduled_thread_pool::ScheduledThreadPool;

use crate::connection::{Connection, Link};
use crate::error::{Error, was_closed};
use crate::lease::Leases;
use crate::save_path::{Host, ParseError, SavePath};
use crate::tls;

/// Connections that one process may hold to one server: as many as it has
/// threads that handle requests at the same time.
const MAX_CONNECTIONS: u32 = 256;
/// Save paths that a process remembers; an application that makes up a new
/// one for each request must not collect connections.
const MAX_TARGETS: usize = 16;

static PROCESS: ArcSwapOption<Process> = ArcSwapOption::const_empty();

/// What one process shares between its requests and threads.
pub struct Process {
    pid: u32,
    helper: OnceLock<Arc<ScheduledThreadPool>>,
    targets: Mutex<Vec<(String, Arc<Target>)>>,
    /// What phpinfo() shows.
    pub counters: Arc<Counters>,
    /// The locks that this process keeps.
    pub leases: Leases,
}

/// How the connections of this process have fared.
#[derive(Default)]
pub struct Counters {
    /// Connections that exist now.
    pub open: AtomicU64,
    /// Exchanges on a connection that was there already.
    pub reused: AtomicU64,
    /// Connections found dead and made anew.
    pub replaced: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Counters {
    /// Remembers `error` for phpinfo(). Errors hold no secrets.
    pub fn note(&self, error: &Error) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }

    /// The last error that [`Counters::note`] was told of.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Process {
    /// This process' own, made at its first use.
    pub fn current() -> Arc<Self> {
        let pid = std::process::id();
        loop {
            let found = PROCESS.load();
            if let Some(process) = found.as_ref().filter(|process| process.pid == pid) {
                return process.clone();
            }
            let fresh = Arc::new(Self {
                pid,
                helper: OnceLock::new(),
                targets: Mutex::default(),
                counters: Arc::default(),
                leases: Leases::default(),
            });
            // Only one of several threads puts its own in place. What a child
            // got from its parent is never dropped: the sockets are the
            // parent's, and its locks may be held by threads left behind.
            std::mem::forget(PROCESS.compare_and_swap(&found, Some(fresh)));
        }
    }

    /// Closes everything, at the end of the process.
    pub fn shut_down() {
        let process = PROCESS.swap(None);
        if process.as_ref().is_some_and(|process| process.pid != std::process::id()) {
            std::mem::forget(process);
        }
    }

    /// Where the sessions of `save_path` are kept, and the parser's warnings
    /// where it is seen for the first time.
    ///
    /// # Errors
    /// The save path is malformed.
    pub fn target(&self, save_path: &str) -> Result<(Arc<Target>, Vec<String>), ParseError> {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = targets.iter().position(|(known, _)| known == save_path) {
            targets.get_mut(at..).unwrap_or_default().rotate_left(1);
            if let Some((_, target)) = targets.last() {
                return Ok((target.clone(), Vec::new()));
            }
        }
        let parsed = SavePath::parse(save_path)?;
        let target = Arc::new(Target::new(parsed.save_path, self));
        if targets.len() >= MAX_TARGETS {
            targets.remove(0); // the one that was not asked for the longest
        }
        targets.push((save_path.to_owned(), target.clone()));
        Ok((target, parsed.warnings))
    }

    /// The one thread beside the requests. It serves no signals, as PHP's
    /// handlers expect to run in PHP's threads.
    pub fn helper(&self) -> Arc<ScheduledThreadPool> {
        let start = || {
            let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK);
            let pool = ScheduledThreadPool::builder()
                .num_threads(1)
                .thread_name_pattern("redis-session")
                .build();
            if let Ok(mask) = before {
                // Setting back what was set before cannot fail.
                let _ = mask.thread_set_mask();
            }
            Arc::new(pool)
        };
        self.helper.get_or_init(start).clone()
    }
}

/// The servers of one save path.
pub struct Target {
    save_path: SavePath,
    endpoints: Vec<Endpoint>,
}

impl Target {
    fn new(save_path: SavePath, process: &Process) -> Self {
        let endpoints = save_path.hosts().iter().map(|host| Endpoint::new(host, process)).collect();
        Self { save_path, endpoints }
    }

    /// The server that keeps the session `sid`.
    pub fn endpoint(&self, sid: &[u8]) -> &Endpoint {
        let index = self.save_path.host_index(sid);
        // A save path has at least one host, and its index is one of them.
        #[allow(clippy::indexing_slicing)]
        &self.endpoints[index]
    }

    /// Closes the connections that are not to outlive a request.
    pub fn end_request(&self) {
        for endpoint in self.endpoints.iter().filter(|endpoint| !endpoint.host.persistent) {
            endpoint.close_idle();
        }
    }
}

/// One server, and the connections to it.
pub struct Endpoint {
    host: Host,
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
    slots: r2d2::Pool<Slots>,
}

impl Endpoint {
    fn new(host: &Host, process: &Process) -> Self {
        let slots = r2d2::Pool::builder()
            .max_size(MAX_CONNECTIONS)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connection_timeout(host.timeout.max(Duration::from_millis(1)))
            .thread_pool(process.helper())
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build_unchecked(Slots(process.counters.clone()));
        Self { host: host.clone(), tls: OnceLock::new(), slots }
    }

    /// How this server was described in the save path.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Runs one exchange. A kept connection that the server has closed in the
    /// meantime is replaced once, and the exchange repeated: it must be one
    /// that can be repeated. Any other failure closes the connection.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Exchange`] or [`Error::Refused`].
    pub fn run<T>(
        &self,
        exchange: impl FnMut(&mut dyn Link) -> RedisResult<T>,
    ) -> Result<T, Error> {
        self.run_on(&mut self.check_out()?, exchange)
    }

    /// Sends a command that the server answers when it sees fit, and returns
    /// the connection the answer will come on.
    ///
    /// # Errors
    /// As for [`Endpoint::run`].
    pub fn send(&self, command: &[&[u8]]) -> Result<Checkout, Error> {
        let mut checkout = self.check_out()?;
        self.run_on(&mut checkout, |link| link.send(command))?;
        Ok(checkout)
    }

    fn run_on<T>(
        &self,
        Checkout(slot): &mut Checkout,
        mut exchange: impl FnMut(&mut dyn Link) -> RedisResult<T>,
    ) -> Result<T, Error> {
        if let Some(connection) = slot.live() {
            match exchange(connection) {
                Err(error) if was_closed(&error) => {}
                answer => return answer.map_err(|error| self.failure(&error)),
            }
        }
        if slot.discard() {
            slot.counters.replaced.fetch_add(1, Ordering::Relaxed);
            tracing::info!(host = %self.host.address, "replacing a connection that was closed");
        }
        let connection = slot.connect(&self.host, self.tls()?)?;
        exchange(connection).map_err(|error| self.failure(&error))
    }

    fn check_out(&self) -> Result<Checkout, Error> {
        self.slots.get().map(Checkout).map_err(|_| Error::Connect {
            host: self.host.address.to_string(),
            reason: format!("all {MAX_CONNECTIONS} connections of this process are in use"),
        })
    }

    /// What `error` means for an operation on this server.
    pub fn failure(&self, error: &RedisError) -> Error {
        Error::from_server(&self.host.address, error)
    }

    /// The TLS settings, read from their files once.
    fn tls(&self) -> Result<Option<&Arc<ClientConfig>>, Error> {
        let Some(options) = &self.host.tls else { return Ok(None) };
        match self.tls.get_or_init(|| tls::client_config(options).map(Arc::new)) {
            Ok(config) => Ok(Some(config)),
            Err(reason) => {
                let host = self.host.address.to_string();
                Err(Error::Connect { host, reason: reason.clone() })
            }
        }
    }

    fn close_idle(&self) {
        while self.slots.state().idle_connections > 0
            && let Some(mut slot) = self.slots.try_get()
            && slot.discard()
        {}
    }
}

/// A connection in use. One whose last exchange did not end well is closed
/// when it is given back.
pub struct Checkout(r2d2::PooledConnection<Slots>);

impl Checkout {
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
    counters: Arc<Counters>,
}

impl Slot {
    /// The connection in here, if it can be used.
    fn live(&mut self) -> Option<&mut Connection> {
        let connection = self.connection.as_deref_mut()?;
        if !connection.is_usable() {
            return None;
        }
        self.counters.reused.fetch_add(1, Ordering::Relaxed);
        Some(connection)
    }

    fn connect(
        &mut self,
        host: &Host,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<&mut Connection, Error> {
        let connection = Box::new(Connection::open(host, tls)?);
        self.counters.open.fetch_add(1, Ordering::Relaxed);
        tracing::info!(host = %host.address, "connected");
        Ok(self.connection.insert(connection))
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
        Ok(Slot { connection: None, counters: self.0.clone() })
    }

    fn is_valid(&self, _: &mut Slot) -> io::Result<()> {
        Ok(())
    }

    fn has_broken(&self, _: &mut Slot) -> bool {
        false
    }
}
