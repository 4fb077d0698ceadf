//! The pools of one process, one for each server and login.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::client::login::Role;
use crate::client::pool::Pool;
use crate::config::save_path::Host;
use crate::runtime::Runtime;

/// One process' own: shared by all its endpoints.
pub struct Pools {
    shared: Arc<Shared>,
    known: Mutex<Vec<KnownPool>>,
}

struct KnownPool {
    /// The server, without what connections do not depend on.
    login: Host,
    role: Role,
    pool: Weak<Pool>,
}

/// What all pools of a process have in common.
pub(super) struct Shared {
    pub(super) runtime: Arc<Runtime>,
    pub(super) first_expiry: FirstExpiry,
}

impl Pools {
    /// Connects to nothing, and starts nothing.
    pub fn new(runtime: Arc<Runtime>) -> Self {
        let shared = Shared { runtime, first_expiry: FirstExpiry::default() };
        Self { shared: Arc::new(shared), known: Mutex::default() }
    }

    /// The process that they belong to.
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.shared.runtime
    }

    /// The connections to the server of `host`, shared by all save paths that
    /// log in to it in the same way, whatever prefix, database or weight they
    /// have.
    pub(super) fn pool(&self, host: &Host, role: Role) -> Arc<Pool> {
        let login = Host {
            weight: 1,
            timeout: Duration::ZERO,
            read_timeout: Duration::ZERO,
            retry_interval: Duration::ZERO,
            database: 0,
            prefix: None,
            ..host.clone()
        };
        let mut known = self.known();
        known.retain(|other| other.pool.strong_count() > 0);
        let found = known.iter().find(|other| other.login == login && other.role == role);
        if let Some(pool) = found.and_then(|found| found.pool.upgrade()) {
            return pool;
        }
        let pool = Arc::new(Pool::new(self.shared.clone()));
        known.push(KnownPool { login, role, pool: Arc::downgrade(&pool) });
        pool
    }

    /// Closes the connections that are too old, as a request begins. Those of
    /// requests that go on are left alone.
    pub fn close_old(&self) {
        if !self.shared.first_expiry.take_if_over() {
            return;
        }
        let pools: Vec<_> = self.known().iter().filter_map(|known| known.pool.upgrade()).collect();
        pools.iter().for_each(|pool| pool.close_old());
    }

    /// How many servers are in use, each for one login.
    pub fn servers(&self) -> usize {
        self.known().iter().filter(|known| known.pool.strong_count() > 0).count()
    }

    fn known(&self) -> MutexGuard<'_, Vec<KnownPool>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the first connection of the process is too old, in ms since
/// [`BEGINNING`]; 0 is never.
#[derive(Default)]
pub(super) struct FirstExpiry(AtomicU64);

static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

impl FirstExpiry {
    /// Lets the connections be looked through at `time`, or before.
    pub(super) fn at_latest(&self, time: Instant) {
        let time = millis(time);
        let sooner = |known| (known == 0 || time < known).then_some(time);
        // It fails where there is nothing to change.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sooner);
    }

    /// Whether that time is over; then none is known any more.
    fn take_if_over(&self) -> bool {
        let expiry = self.0.load(Ordering::Relaxed);
        let is_over = expiry != 0 && expiry <= millis(Instant::now());
        if is_over {
            self.0.store(0, Ordering::Relaxed);
        }
        is_over
    }
}

fn millis(time: Instant) -> u64 {
    let since = time.saturating_duration_since(*BEGINNING).as_millis();
    u64::try_from(since).unwrap_or(u64::MAX).max(1)
}
