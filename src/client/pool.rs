//! The connections of one process to one server, for one login.
//!
//! One connection is enough for a process that serves one request at a time:
//! it is kept here as it is. r2d2 keeps those that are needed beside it, and
//! needs the helper thread for that. An entry connects at its first use, in the
//! thread that needs it, so that a refused port fails at once.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::client::connection::Connection;
use crate::client::expiry::FirstExpiry;
use crate::client::login::KnownLoginStyle;
use crate::client::tls;
use crate::runtime::Runtime;

/// How often one who waits for r2d2's entries looks for the one that is not.
const LOOK: Duration = Duration::from_millis(50);

/// Pause before connections that were in use are looked at again.
const LATER: Duration = Duration::from_secs(1);

/// What all pools of a process have in common.
pub(super) struct Shared {
    pub(super) runtime: Arc<Runtime>,
    pub(super) first_expiry: FirstExpiry,
}

/// What all save paths that use a server with one login have in common.
pub struct Pool {
    /// The TLS settings for new connections.
    pub(super) tls: tls::Context,
    /// How the server is logged in to.
    pub(super) login_style: KnownLoginStyle,
    /// How often all connections were given up. Those of earlier generations are not
    /// used again, wherever they are now.
    pub(super) generation: AtomicU64,
    shared: Arc<Shared>,
    /// None while it is in use.
    first: Mutex<Option<PoolEntry>>,
    others: OnceLock<r2d2::Pool<ConnectionManager>>,
}

impl Pool {
    /// Connects to nothing, and starts nothing.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            tls: tls::Context::default(),
            login_style: KnownLoginStyle::default(),
            generation: AtomicU64::default(),
            first: Mutex::new(Some(PoolEntry::new(shared.clone()))),
            shared,
            others: OnceLock::new(),
        }
    }

    /// An entry, at best a connected one; waits up to `timeout` for it.
    ///
    /// # Errors
    /// Words for the operator.
    pub(super) fn check_out(
        self: &Arc<Self>,
        timeout: Duration,
    ) -> Result<PooledConnection, String> {
        let ends = Instant::now() + timeout;
        if let Some(found) = self.look() {
            return Ok(found);
        }
        let Some(others) = self.others() else {
            return Ok(PooledConnection(Lent::Alone(PoolEntry::new(self.shared.clone()))));
        };
        loop {
            let left = ends.saturating_duration_since(Instant::now());
            if let Ok(other) = others.get_timeout(left.min(LOOK)) {
                if other.connection.is_some() {
                    return Ok(PooledConnection(Lent::Other(other)));
                }
                // It was made for a thread that then took another one. What is
                // connected comes first, or there would be more connections
                // than are ever used at a time.
                return Ok(self.look().unwrap_or(PooledConnection(Lent::Other(other))));
            }
            if let Some(found) = self.look() {
                return Ok(found);
            }
            if left.is_zero() {
                return Err(full(others, timeout));
            }
        }
    }

    /// An entry that is idle, a connected one if there is one.
    fn look(self: &Arc<Self>) -> Option<PooledConnection> {
        let first = self.first().take();
        let first = first.map(|entry| PooledConnection(Lent::First { entry, pool: self.clone() }));
        if first.as_ref().is_some_and(|first| first.connection.is_some()) {
            return first;
        }
        let mut empty = Vec::new(); // given back at the end only, or they came again
        while let Some(other) = self.idle() {
            if other.connection.is_some() {
                return Some(PooledConnection(Lent::Other(other)));
            }
            empty.push(other);
        }
        first.or_else(|| empty.pop().map(|other| PooledConnection(Lent::Other(other))))
    }

    /// None while the process cannot have the thread that r2d2 needs: then each
    /// exchange beside another has a connection of its own.
    fn others(&self) -> Option<&r2d2::Pool<ConnectionManager>> {
        if let Some(others) = self.others.get() {
            return Some(others);
        }
        let runtime = &self.shared.runtime;
        let helper = runtime.start_helper()?.clone();
        Some(self.others.get_or_init(|| {
            r2d2::Pool::builder()
                .max_size(runtime.max_connections().saturating_sub(1).max(1))
                .min_idle(Some(0))
                .test_on_check_out(false)
                .idle_timeout(None)
                .max_lifetime(None)
                .thread_pool(helper)
                .error_handler(Box::new(r2d2::NopErrorHandler))
                .build_unchecked(ConnectionManager(self.shared.clone()))
        }))
    }

    /// an idle entry of r2d2's.
    fn idle(&self) -> Option<r2d2::PooledConnection<ConnectionManager>> {
        self.others.get()?.try_get()
    }

    fn all_idle(&self) -> Vec<r2d2::PooledConnection<ConnectionManager>> {
        std::iter::from_fn(|| self.idle()).collect()
    }

    /// Whether there is a connection that is idle, dead or alive.
    pub(super) fn has_connection(&self) -> bool {
        self.first().as_ref().is_some_and(|entry| entry.connection.is_some())
            || self.all_idle().iter().any(|entry| entry.connection.is_some())
    }

    /// Whether one of those that are idle was closed by the other side.
    pub(super) fn is_cut_off(&self) -> bool {
        let is_dead = |entry: &mut PoolEntry| {
            entry.connection.as_deref_mut().is_some_and(|connection| !connection.check_usable())
        };
        self.first().as_mut().is_some_and(is_dead)
            || self.idle().is_some_and(|mut entry| is_dead(&mut entry))
    }

    /// Closes the connections that are idle, and that are `unwanted`.
    pub(super) fn close_idle(&self, mut unwanted: impl FnMut(&PoolEntry) -> bool) {
        let mut close = |entry: &mut PoolEntry| {
            if unwanted(entry) {
                entry.close();
            }
        };
        if let Some(entry) = self.first().as_mut() {
            close(entry);
        }
        self.all_idle().iter_mut().for_each(|entry| close(entry));
    }

    /// Closes the connections that are idle, and that are too old. Those
    /// in use are looked at a moment later.
    pub fn close_old(&self) {
        let now = Instant::now();
        self.close_idle(|entry| {
            let is_old = entry.expires.is_some_and(|expires| expires <= now);
            if let Some(expires) = entry.expires.filter(|_| !is_old) {
                self.shared.first_expiry.at_latest(expires);
            }
            is_old
        });
        let others = self.others.get().map(r2d2::Pool::state);
        let in_use = others.is_some_and(|others| others.connections > others.idle_connections);
        if in_use || self.first().is_none() {
            self.shared.first_expiry.at_latest(now + LATER);
        }
    }

    fn first(&self) -> MutexGuard<'_, Option<PoolEntry>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there was no entry within `timeout`.
fn full(others: &r2d2::Pool<ConnectionManager>, timeout: Duration) -> String {
    if others.state().connections >= others.max_size() {
        let all = others.max_size() + 1;
        format!("all {all} connections of this process are in use (redis_session.max_connections)")
    } else {
        let seconds = timeout.as_secs_f64();
        format!("the helper thread made no room for a connection within {seconds} s")
    }
}

/// An entry in use. A connection whose last exchange did not end well is closed
/// when it is given back.
pub struct PooledConnection(Lent);

enum Lent {
    First {
        entry: PoolEntry,
        pool: Arc<Pool>,
    },
    Other(r2d2::PooledConnection<ConnectionManager>),
    /// Not kept afterwards.
    Alone(PoolEntry),
}

impl Deref for PooledConnection {
    type Target = PoolEntry;

    fn deref(&self) -> &PoolEntry {
        match &self.0 {
            Lent::First { entry, .. } | Lent::Alone(entry) => entry,
            Lent::Other(entry) => entry,
        }
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut PoolEntry {
        match &mut self.0 {
            Lent::First { entry, .. } | Lent::Alone(entry) => entry,
            Lent::Other(entry) => entry,
        }
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if self.connection.as_ref().is_some_and(|connection| !connection.is_open()) {
            self.close();
        }
        if let Lent::First { entry, pool } = &mut self.0 {
            let empty = PoolEntry::new(entry.shared.clone());
            *pool.first() = Some(std::mem::replace(entry, empty));
        }
    }
}

/// Room for one connection.
pub struct PoolEntry {
    pub(super) connection: Option<Box<Connection>>,
    /// The one it was made in, see [`Pool::generation`].
    pub(super) generation: u64,
    /// When it is too old for another request.
    pub(super) expires: Option<Instant>,
    pub(super) shared: Arc<Shared>,
}

impl PoolEntry {
    fn new(shared: Arc<Shared>) -> Self {
        Self { connection: None, generation: 0, expires: None, shared }
    }

    /// The connection is new: how old may it get? Each gets up to a tenth less,
    /// so that a fleet does not connect anew all at once.
    pub(super) fn starts_to_age(&mut self, most: Duration) {
        if most.is_zero() {
            return;
        }
        let mut byte = [0];
        // Without random numbers they are merely alike.
        let _ = getrandom::fill(&mut byte);
        let share = f64::from(byte.first().copied().unwrap_or(0)) / 255.0;
        let expires = Instant::now() + most.mul_f64(1.0 - share / 10.0);
        self.expires = Some(expires);
        self.shared.first_expiry.at_latest(expires);
    }

    /// Closes the connection. Returns whether there was one.
    pub(super) fn close(&mut self) -> bool {
        self.expires = None;
        let closed = self.connection.take().is_some();
        self.shared.runtime.counters.open.fetch_sub(closed.into(), Ordering::Relaxed);
        closed
    }
}

impl Drop for PoolEntry {
    fn drop(&mut self) {
        self.close();
    }
}

/// Makes entries; they do their connecting themselves.
pub struct ConnectionManager(Arc<Shared>);

impl r2d2::ManageConnection for ConnectionManager {
    type Connection = PoolEntry;
    type Error = io::Error;

    fn connect(&self) -> io::Result<PoolEntry> {
        Ok(PoolEntry::new(self.0.clone()))
    }

    fn is_valid(&self, _: &mut PoolEntry) -> io::Result<()> {
        Ok(())
    }

    fn has_broken(&self, _: &mut PoolEntry) -> bool {
        false
    }
}
