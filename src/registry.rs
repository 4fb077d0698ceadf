//! What one process shares between its requests and threads.
//!
//! After a fork the child starts with nothing: the parent's sockets, locks
//! and threads are left alone.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use scheduled_thread_pool::ScheduledThreadPool;

use crate::client::endpoint::Pool;
use crate::client::login::Role;
use crate::config::save_path::{Host, ParseError, SavePath};
use crate::error::Error;
use crate::lock::renewal::LockRenewer;
use crate::runtime::threads::worker;
use crate::topology::Backend;

/// Save paths that a process remembers; an application may make up a new one
/// for each request.
const MAX_TARGETS: usize = 512;

/// `redis_session.max_connections`, see [`limit`].
static MAX_CONNECTIONS: AtomicU32 = AtomicU32::new(256);
/// `redis_session.max_servers`, see [`limit`].
static MAX_SERVERS: AtomicUsize = AtomicUsize::new(64);

/// Sets how many connections a process may hold to one server (at least 2), and
/// to how many servers it keeps connections between requests (at least 1).
/// Before the first use of a server.
pub fn limit(connections: u32, servers: usize) {
    MAX_CONNECTIONS.store(connections.max(2), Ordering::Relaxed);
    MAX_SERVERS.store(servers.max(1), Ordering::Relaxed);
}

/// How many connections a process may hold to one server, at least 2.
pub fn max_connections() -> u32 {
    MAX_CONNECTIONS.load(Ordering::Relaxed)
}

static PROCESS: ArcSwapOption<Process> = ArcSwapOption::const_empty();

/// One process' own.
pub struct Process {
    pid: u32,
    helper: OnceLock<Arc<ScheduledThreadPool>>,
    /// Whether the log knows that there can be no helper.
    told: AtomicBool,
    backends: Mutex<Vec<(String, Arc<Backend>)>>,
    /// The servers that are in use, each for one login.
    pools: Mutex<Vec<(Host, Role, Weak<Pool>)>>,
    /// What phpinfo() shows.
    pub counters: Arc<Counters>,
    /// The locks that this process keeps.
    pub leases: Arc<LockRenewer>,
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
    /// When the first of them is too old, in ms since [`BEGINNING`]; 0 is never.
    expiry: AtomicU64,
}

static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

fn millis(time: Instant) -> u64 {
    let since = time.saturating_duration_since(*BEGINNING).as_millis();
    u64::try_from(since).unwrap_or(u64::MAX).max(1)
}

impl Counters {
    /// Remembers `error` for phpinfo(). Errors hold no secrets.
    pub fn note(&self, error: &Error) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }

    /// Lets the connections be looked through at `time`, or before.
    pub fn expires_at(&self, time: Instant) {
        let time = millis(time);
        let sooner = |known| (known == 0 || time < known).then_some(time);
        // It fails where there is nothing to change.
        let _ = self.expiry.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sooner);
    }

    /// Whether it is time for that.
    fn has_expired(&self) -> bool {
        let expiry = self.expiry.load(Ordering::Relaxed);
        expiry != 0 && expiry <= millis(Instant::now())
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
                told: AtomicBool::new(false),
                backends: Mutex::default(),
                pools: Mutex::default(),
                counters: Arc::default(),
                leases: Arc::default(),
            });
            // Only one of several threads puts its own in place.
            let before = PROCESS.compare_and_swap(&found, Some(fresh));
            // What a child got from its parent is never dropped: the sockets
            // are the parent's, and its locks may be held by threads left
            // behind. What another thread has put here is not ours to keep.
            if before.as_ref().is_some_and(|process| process.pid != pid) {
                std::mem::forget(before);
            }
        }
    }

    /// The helper thread of this process, if it has been started.
    pub fn helper_of_current() -> Option<Arc<ScheduledThreadPool>> {
        let found = PROCESS.load();
        let process = found.as_ref().filter(|process| process.pid == std::process::id())?;
        process.helper.get().cloned()
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
    pub fn backend(&self, save_path: &str) -> Result<(Arc<Backend>, Vec<String>), ParseError> {
        self.close_old();
        let mut backends = self.backends.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = backends.iter().position(|(known, _)| known == save_path) {
            backends.get_mut(at..).unwrap_or_default().rotate_left(1);
            if let Some((_, backend)) = backends.last() {
                return Ok((backend.clone(), Vec::new()));
            }
        }
        let parsed = SavePath::parse(save_path)?;
        let backend = Arc::new(Backend::new(parsed.save_path, self));
        backends.push((save_path.to_owned(), backend.clone()));
        let most = MAX_SERVERS.load(Ordering::Relaxed);
        while backends.len() > 1 && (backends.len() > MAX_TARGETS || self.servers() > most) {
            backends.remove(0); // the one that was not asked for the longest
        }
        Ok((backend, parsed.warnings))
    }

    /// The connections to the server of `host`, shared by all save paths that
    /// log in to it in the same way, whatever prefix, database or weight they
    /// have.
    pub fn pool(&self, host: &Host, role: Role) -> Arc<Pool> {
        let login = Host {
            weight: 1,
            timeout: Duration::ZERO,
            read_timeout: Duration::ZERO,
            retry_interval: Duration::ZERO,
            database: 0,
            prefix: None,
            ..host.clone()
        };
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|(.., pool)| pool.strong_count() > 0);
        let known = pools.iter().find(|(other, of, _)| *other == login && *of == role);
        if let Some(pool) = known.and_then(|(.., pool)| pool.upgrade()) {
            return pool;
        }
        let pool = Arc::new(Pool::new(self.counters.clone()));
        pools.push((login, role, Arc::downgrade(&pool)));
        pool
    }

    /// Closes the connections that are too old, as a request begins. Those of
    /// requests that go on are left alone.
    fn close_old(&self) {
        if !self.counters.has_expired() {
            return;
        }
        self.counters.expiry.store(0, Ordering::Relaxed);
        let pools: Vec<Arc<Pool>> = {
            let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
            pools.iter().filter_map(|(.., pool)| pool.upgrade()).collect()
        };
        pools.iter().for_each(|pool| pool.close_old());
    }

    /// How many servers are in use, each for one login.
    fn servers(&self) -> usize {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.iter().filter(|(.., pool)| pool.strong_count() > 0).count()
    }

    /// The one thread that stays beside the requests; none while the system
    /// starts no more. Whoever has work for it goes on without it then.
    pub fn helper(&self) -> Option<Arc<ScheduledThreadPool>> {
        if let Some(helper) = self.helper.get() {
            return Some(helper.clone());
        }
        let Some(started) = worker("redis-session") else {
            if !self.told.swap(true, Ordering::Relaxed) {
                let reason = "the system starts no more threads (is the limit of processes reached?): connections \
                              beside the first are not kept between requests, locks of long requests may end early";
                tracing::warn!(operation = "start a thread", outcome = reason);
            }
            return None;
        };
        Some(self.helper.get_or_init(|| started).clone())
    }
}
