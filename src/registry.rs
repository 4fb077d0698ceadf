//! What one process keeps for its requests: the servers of each save path, the
//! connections to them, and the locks that are renewed.
//!
//! After a fork the child starts with nothing: the parent's sockets, locks
//! and threads are left alone.

use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;

use crate::client::pools::Pools;
use crate::config::encryption::Keyring;
use crate::config::key_files::KeyFiles;
use crate::config::save_path::{ParseError, SavePath};
use crate::error::Error;
use crate::lock::locks::Locks;
use crate::lock::renewal::LockRenewer;
use crate::runtime::Runtime;
use crate::runtime::fork;

/// Save paths that a process remembers; an application may make up a new one
/// for each request.
const MAX_SAVE_PATHS: usize = 512;

/// `redis_session.max_connections`, see [`limit`].
static MAX_CONNECTIONS: AtomicU32 = AtomicU32::new(256);
/// `redis_session.max_servers`, see [`limit`].
static MAX_SERVERS: AtomicUsize = AtomicUsize::new(64);

/// Sets how many connections a process may hold to one server (at least 2), and
/// to how many servers it keeps connections between requests (at least 1).
/// Before the first use of a server.
pub fn limit(connections: u32, servers: usize) {
    MAX_CONNECTIONS.store(connections, Ordering::Relaxed);
    MAX_SERVERS.store(servers.max(1), Ordering::Relaxed);
}

static REGISTRY: ArcSwapOption<Registry> = ArcSwapOption::const_empty();

/// One process' own.
pub struct Registry {
    pid: u32,
    runtime: Arc<Runtime>,
    pools: Arc<Pools>,
    renewer: Arc<LockRenewer>,
    /// By save path, the one that was not asked for the longest first.
    locks: Mutex<Vec<(String, Arc<Locks>)>>,
    key_files: KeyFiles,
}

/// Where the sessions of `save_path` are kept and locked, and the parser's
/// warnings where this process sees it for the first time. Connects to nothing.
///
/// # Errors
/// The save path is malformed.
pub fn locks_of(save_path: &str) -> Result<(Arc<Locks>, Vec<String>), ParseError> {
    Registry::current().locks(save_path)
}

/// The keys in the file `path`. Reads it where it has changed since it was last read.
///
/// # Errors
/// [`Error::Encryption`]: it cannot be used, with the reason.
pub fn keyring(path: &Path) -> Result<Arc<Keyring>, Error> {
    Registry::current().key_files.keyring(path).map_err(|reason| {
        Error::Encryption(format!("redis_session.encryption_keys = {}: {reason}", path.display()))
    })
}

/// Lets this process fork, see [`fork::prepare`]. Just before it does.
pub fn before_fork() {
    let found = REGISTRY.load();
    let ours = found.as_ref().filter(|registry| registry.pid == std::process::id());
    fork::prepare(ours.and_then(|registry| registry.runtime.running_helper()).map(Arc::as_ref));
}

impl Registry {
    /// This process' own, made at its first use.
    pub fn current() -> Arc<Self> {
        let pid = std::process::id();
        loop {
            let found = REGISTRY.load();
            if let Some(registry) = found.as_ref().filter(|registry| registry.pid == pid) {
                return registry.clone();
            }
            let runtime = Arc::new(Runtime::new(MAX_CONNECTIONS.load(Ordering::Relaxed)));
            let fresh = Arc::new(Self {
                pid,
                pools: Arc::new(Pools::new(runtime.clone())),
                renewer: Arc::new(LockRenewer::new(runtime.clone())),
                runtime,
                locks: Mutex::default(),
                key_files: KeyFiles::default(),
            });
            // Only one of several threads puts its own in place.
            let before = REGISTRY.compare_and_swap(&found, Some(fresh));
            // What a child got from its parent is never dropped: the sockets
            // are the parent's, and its locks may be held by threads that the
            // child does not have. What another thread has put here is kept.
            if before.as_ref().is_some_and(|registry| registry.pid != pid) {
                std::mem::forget(before);
            }
        }
    }

    /// Closes everything, at the end of the process.
    pub fn shut_down() {
        let registry = REGISTRY.swap(None);
        if registry.as_ref().is_some_and(|registry| registry.pid != std::process::id()) {
            std::mem::forget(registry);
        }
    }

    /// The helper thread, counters and limits of this process.
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    fn locks(&self, save_path: &str) -> Result<(Arc<Locks>, Vec<String>), ParseError> {
        self.pools.close_old();
        let mut all = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = all.iter().position(|(known, _)| known == save_path) {
            all.get_mut(at..).unwrap_or_default().rotate_left(1);
            if let Some((_, locks)) = all.last() {
                return Ok((locks.clone(), Vec::new()));
            }
        }
        let parsed = SavePath::parse(save_path)?;
        let locks = Arc::new(Locks::new(parsed.save_path, &self.pools, self.renewer.clone()));
        all.push((save_path.to_owned(), locks.clone()));
        let most = MAX_SERVERS.load(Ordering::Relaxed);
        while all.len() > 1 && (all.len() > MAX_SAVE_PATHS || self.pools.servers() > most) {
            all.remove(0);
        }
        Ok((locks, parsed.warnings))
    }
}
