//! Which server a session is on, and what to do when it is another one.
//!
//! A standalone server stays where its name leads: its errors are final. But
//! the name may lead to another server by now; one that answers that it is not
//! to be used is looked up again, and asked once more. Behind sentinels, and in
//! a cluster, servers change places; an exchange that fails of that is repeated
//! where the session is now, until the failover budget is spent. All exchanges
//! may be repeated: they store the same bytes, or act only while our token
//! holds.

pub mod cluster;
mod retry;
pub mod sentinel;
mod weighted;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::RedisResult;

use crate::client::connection_like::ConnectionLike;
use crate::client::endpoint::{AttemptError, Endpoint, PooledConnection};
use crate::client::login::Role;
use crate::client::pools::Pools;
use crate::config::save_path::{self, SavePath};
use crate::error::Error;
use crate::key::{CLUSTER_PREFIX, Keys, STANDALONE_PREFIX, Sid};
use crate::runtime::wait_limits::WaitLimits;
use crate::topology::cluster::Cluster;
use crate::topology::retry::{Budget, LONGEST_PAUSE, is_unsettled, is_wrong_server};
use crate::topology::sentinel::{Sentinel, replaced};
use crate::topology::weighted::host_index;

pub use retry::{has_moved, random_share};

/// Told when another server has become the primary of some sessions.
pub trait FailoverListener: Send + Sync {
    /// May ask the servers of `backend`, and wait for them.
    fn primary_changed(&self, backend: &Backend);
}

/// The servers of one save path.
pub struct Backend {
    path: SavePath,
    servers: Servers,
    hides_ttls: AtomicBool,
    pools: Arc<Pools>,
    listener: Arc<dyn FailoverListener>,
    /// The changes of primaries that the listener was told of.
    told: AtomicU64,
}

enum Servers {
    Standalone(Vec<Arc<Endpoint>>),
    Sentinel(Sentinel),
    Cluster(Cluster),
}

/// Where a session belongs.
#[derive(Clone)]
pub struct SessionLocation {
    /// Its keys, made once and shared.
    pub keys: Arc<Keys>,
    /// The host's number in the save path, or the slot of the cluster.
    shard: usize,
}

/// What may be asked of more servers than the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadRouting {
    /// Something that only the primary can do.
    Primary,
    /// A plain read, which the save path may allow replicas to answer.
    Read,
    /// A wait for something that is still to come.
    Wait,
}

/// Where to try again.
pub enum RetryDecision {
    /// Where the session is said to be now; soon, or after a pause.
    Elsewhere {
        /// Whether nothing has to settle first.
        at_once: bool,
    },
    /// Once on this server instead, and only then in general.
    Once(Arc<Endpoint>),
    /// Once where the name of this server leads now.
    Renamed,
    /// Nowhere: the answer stands.
    Nowhere,
}

impl Backend {
    /// Connects to nothing.
    pub fn new(path: SavePath, pools: &Arc<Pools>, listener: Arc<dyn FailoverListener>) -> Self {
        let servers = match path.topology() {
            save_path::Topology::Standalone(standalone) => Servers::Standalone(
                standalone
                    .hosts()
                    .iter()
                    .map(|host| Arc::new(Endpoint::new(host.clone(), Role::Any, pools)))
                    .collect(),
            ),
            save_path::Topology::Sentinel(path) => {
                Servers::Sentinel(Sentinel::new(path.clone(), pools))
            }
            save_path::Topology::Cluster(path) => {
                Servers::Cluster(Cluster::new(path.clone(), pools))
            }
        };
        Self {
            path,
            servers,
            hides_ttls: AtomicBool::new(false),
            pools: pools.clone(),
            listener,
            told: AtomicU64::new(0),
        }
    }

    /// Where `sid` belongs.
    ///
    /// # Errors
    /// [`Error::Sid`]: in a cluster, where its keys cannot be in one slot.
    pub fn location(&self, sid: Sid<'_>) -> Result<SessionLocation, Error> {
        match self.path.topology() {
            save_path::Topology::Standalone(standalone) => {
                let shard = host_index(standalone.hosts(), sid.as_bytes());
                let prefix = standalone.hosts().get(shard).and_then(|host| host.prefix.as_deref());
                Ok(SessionLocation {
                    keys: Arc::new(Keys::new(prefix.unwrap_or(STANDALONE_PREFIX), sid)),
                    shard,
                })
            }
            save_path::Topology::Sentinel(sentinel) => {
                let prefix = sentinel.server.prefix.as_deref().unwrap_or(STANDALONE_PREFIX);
                Ok(SessionLocation { keys: Arc::new(Keys::new(prefix, sid)), shard: 0 })
            }
            save_path::Topology::Cluster(cluster) => {
                let prefix = cluster.node.prefix.as_deref().unwrap_or(CLUSTER_PREFIX);
                let keys = Arc::new(Keys::in_one_slot(prefix, sid)?);
                let shard = crate::key::slot(&keys.session).into();
                Ok(SessionLocation { keys, shard })
            }
        }
    }

    /// Whether this is a cluster.
    pub fn is_cluster(&self) -> bool {
        matches!(self.servers, Servers::Cluster(_))
    }

    /// Whether a session may be served by another server later.
    pub fn is_changing(&self) -> bool {
        !matches!(self.servers, Servers::Standalone(_))
    }

    /// Whether the servers tell what is left of a session's TTL, for all that
    /// is known.
    pub fn tells_ttls(&self) -> bool {
        !self.hides_ttls.load(Ordering::Relaxed)
    }

    /// A server does not: it is not asked again.
    pub fn hides_ttls(&self) {
        self.hides_ttls.store(true, Ordering::Relaxed);
    }

    /// How many connections this process may hold to one server, at least 2.
    pub fn max_connections(&self) -> u32 {
        self.pools.runtime().max_connections()
    }

    /// Which servers let how many connections of this process wait.
    pub fn wait_limits(&self) -> &Arc<WaitLimits> {
        &self.pools.runtime().wait_limits
    }

    /// Whether `server` does not serve `location` any more, as far as can be seen
    /// without asking anybody.
    pub fn is_cut_off(&self, location: &SessionLocation, server: &str) -> bool {
        let known = match &self.servers {
            Servers::Standalone(_) => return false,
            Servers::Sentinel(sentinel) => sentinel.known_primary(),
            Servers::Cluster(cluster) => cluster.known_node(location.shard),
        };
        known.is_some_and(|known| known.host().address.to_string() != server || known.is_cut_off())
    }

    /// Runs one exchange where `location` is, and does not try again. Returns the
    /// server's name with its answer; none where no server is known.
    pub fn run_once<T>(
        &self,
        location: &SessionLocation,
        exchange: impl FnMut(&mut dyn ConnectionLike) -> RedisResult<T>,
    ) -> Option<(String, Result<T, AttemptError>)> {
        let endpoint = self.endpoint(location, ReadRouting::Primary).ok()?;
        Some((endpoint.host().address.to_string(), endpoint.run(exchange)))
    }

    /// How often another server has become a primary, as far as that is told.
    fn changes(&self) -> u64 {
        match &self.servers {
            Servers::Sentinel(sentinel) => sentinel.changes(),
            Servers::Standalone(_) | Servers::Cluster(_) => 0,
        }
    }

    /// Runs one exchange where `location` is. `patience` is the failover budget.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Exchange`] or [`Error::Refused`].
    pub fn run<T>(
        &self,
        location: &SessionLocation,
        access: ReadRouting,
        patience: Duration,
        mut exchange: impl FnMut(&mut dyn ConnectionLike) -> RedisResult<T>,
    ) -> Result<T, Error> {
        self.persist(location, access, patience, |endpoint| endpoint.run(&mut exchange))
    }

    /// Sends a command that is answered when the server sees fit.
    ///
    /// # Errors
    /// As for [`Backend::run`].
    pub fn send(
        &self,
        location: &SessionLocation,
        patience: Duration,
        command: &[&[u8]],
    ) -> Result<PooledConnection, Error> {
        self.persist(location, ReadRouting::Wait, patience, |endpoint| endpoint.send(command))
    }

    /// Closes the connections that are not to outlive a request.
    pub fn end_request(&self) {
        match &self.servers {
            Servers::Standalone(endpoints) => endpoints.iter().for_each(|e| e.end_request()),
            Servers::Sentinel(sentinel) => sentinel.end_request(),
            Servers::Cluster(cluster) => cluster.end_request(),
        }
    }

    /// The server that `location` is on, as far as is known, for the log.
    pub fn name(&self, location: &SessionLocation) -> String {
        let endpoint = match &self.servers {
            Servers::Standalone(endpoints) => endpoints.get(location.shard).cloned(),
            Servers::Sentinel(sentinel) => sentinel.known_primary(),
            Servers::Cluster(cluster) => cluster.known_node(location.shard),
        };
        endpoint.map_or_else(|| "unknown".to_owned(), |e| e.host().address.to_string())
    }

    fn persist<T>(
        &self,
        location: &SessionLocation,
        access: ReadRouting,
        patience: Duration,
        mut attempt: impl FnMut(&Endpoint) -> Result<T, AttemptError>,
    ) -> Result<T, Error> {
        let mut budget = Budget::new(patience, self.retry_interval());
        // A server that let us wait once is only tried in passing after that.
        let mut silent = None;
        let mut renamed = false;
        let mut disturbed = false;
        loop {
            let looked = Instant::now();
            let (failure, again) = match self.endpoint(location, access) {
                Ok(endpoint) => match match &silent {
                    Some(address) if *address == endpoint.host().address => {
                        attempt(&endpoint.with_timeout_cap(LONGEST_PAUSE))
                    }
                    _ => attempt(&endpoint),
                } {
                    Ok(value) if self.still_serves(&endpoint, looked) => {
                        let changes = self.changes();
                        if disturbed || changes != self.told.swap(changes, Ordering::Relaxed) {
                            self.listener.primary_changed(self);
                        }
                        return Ok(value);
                    }
                    Ok(_) => (
                        replaced(&endpoint.host().address),
                        RetryDecision::Elsewhere { at_once: false },
                    ),
                    Err(trouble) => {
                        let again = self.again(location, access, &endpoint, &trouble);
                        if trouble.may_be_timeout() {
                            silent = Some(endpoint.host().address.clone());
                        }
                        (self.failure(location, &endpoint, trouble), again)
                    }
                },
                // Nobody knew where: that may change.
                Err(error) => (error, self.after_discovery()),
            };
            disturbed = true;
            match again {
                RetryDecision::Nowhere => return Err(failure),
                RetryDecision::Renamed if renamed => return Err(failure),
                RetryDecision::Renamed => {
                    renamed = true;
                    tracing::info!(outcome = %failure, "looking its name up again");
                }
                RetryDecision::Once(instead) => {
                    if let Ok(value) = attempt(&instead) {
                        return Ok(value);
                    }
                    if !budget.pause() {
                        return Err(failure);
                    }
                }
                RetryDecision::Elsewhere { at_once } => {
                    let in_time = (at_once && budget.hurry()) || budget.pause();
                    if !in_time {
                        return Err(failure);
                    }
                    tracing::info!(outcome = %failure, "trying again");
                }
            }
        }
    }

    /// The save path's wish for the shortest pause between two attempts.
    fn retry_interval(&self) -> Duration {
        match self.path.topology() {
            save_path::Topology::Standalone(_) => Duration::ZERO,
            save_path::Topology::Sentinel(sentinel) => sentinel.server.retry_interval,
            save_path::Topology::Cluster(cluster) => cluster.node.retry_interval,
        }
    }

    fn endpoint(
        &self,
        location: &SessionLocation,
        access: ReadRouting,
    ) -> Result<Arc<Endpoint>, Error> {
        match &self.servers {
            Servers::Standalone(endpoints) => {
                endpoints.get(location.shard).cloned().ok_or_else(|| Error::Panic("no host".into()))
            }
            Servers::Sentinel(sentinel) => sentinel.find_primary(),
            Servers::Cluster(cluster) => cluster.node(location.shard, access),
        }
    }

    /// Whether what `endpoint`, which was `looked` at before, has just answered
    /// counts.
    fn still_serves(&self, endpoint: &Arc<Endpoint>, looked: Instant) -> bool {
        match &self.servers {
            Servers::Standalone(_) | Servers::Cluster(_) => true,
            Servers::Sentinel(sentinel) => sentinel.still_serves(endpoint, looked),
        }
    }

    fn failure(
        &self,
        location: &SessionLocation,
        endpoint: &Endpoint,
        trouble: AttemptError,
    ) -> Error {
        match (&self.servers, endpoint.failure(trouble)) {
            (Servers::Sentinel(sentinel), Error::Connect { host, reason }) => {
                Error::Connect { host, reason: format!("{reason}{}", sentinel.blame()) }
            }
            (Servers::Cluster(cluster), Error::Connect { host, reason }) => Error::Connect {
                host,
                reason: format!("{reason}{}", cluster.blame(location.shard)),
            },
            (_, failure) => failure,
        }
    }

    fn after_discovery(&self) -> RetryDecision {
        match &self.servers {
            Servers::Standalone(_) => RetryDecision::Nowhere,
            Servers::Sentinel(_) | Servers::Cluster(_) => {
                RetryDecision::Elsewhere { at_once: false }
            }
        }
    }

    fn again(
        &self,
        location: &SessionLocation,
        access: ReadRouting,
        failed: &Arc<Endpoint>,
        trouble: &AttemptError,
    ) -> RetryDecision {
        if is_wrong_server(trouble) {
            failed.start_anew();
        }
        match &self.servers {
            Servers::Standalone(_) if is_wrong_server(trouble) => RetryDecision::Renamed,
            Servers::Standalone(_) if is_unsettled(trouble) => {
                RetryDecision::Elsewhere { at_once: false }
            }
            Servers::Standalone(_) => RetryDecision::Nowhere,
            Servers::Sentinel(sentinel) => {
                if !has_moved(trouble) {
                    return RetryDecision::Nowhere;
                }
                sentinel.doubt(failed);
                RetryDecision::Elsewhere { at_once: false }
            }
            Servers::Cluster(cluster) => {
                cluster.again(location.shard, &location.keys, access, failed, trouble)
            }
        }
    }
}
