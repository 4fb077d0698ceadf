//! The pools of one process, one for each server and login.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::client::expiry::FirstExpiry;
use crate::client::login::Role;
use crate::client::pool::{Pool, Shared};
use crate::config::server::Host;
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
