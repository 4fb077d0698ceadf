//! Which server a session is on, and what to do when it is another one.
//!
//! - `contract`: the trait of a topology, and the values it is asked with
//! - `weighted`, [`sentinel`], [`cluster`]: the topologies
//! - `retry`: when and how often an exchange is repeated
//! - [`Backend`], here: the servers of one save path for the layers above
//!
//! Several weighted servers stay where they are: their errors are final. With
//! sentinels, and in a cluster, servers change places; an exchange that fails of
//! that is repeated where the session is now, until the failover budget is spent.

pub mod cluster;
mod contract;
mod retry;
pub mod sentinel;
mod weighted;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use redis::RedisResult;

use crate::client::connection_like::ConnectionLike;
use crate::client::endpoint::{AttemptError, Endpoint, PooledConnection};
use crate::client::pools::Pools;
use crate::config::save_path::{self, SavePath};
use crate::error::Error;
use crate::key::Sid;
use crate::runtime::counters::Counters;
use crate::runtime::wait_limits::WaitLimits;

use cluster::Cluster;
use contract::Topology;
pub use contract::{ReadRouting, SessionLocation};
use retry::with_retries;
pub use retry::{has_moved, random_share};
use sentinel::Sentinel;
use weighted::Weighted;

/// Told when another server has become the primary of some sessions.
pub trait FailoverListener: Send + Sync {
    /// May ask the servers of `backend`, and wait for them.
    fn primary_changed(&self, backend: &Backend);
}

/// The servers of one save path.
pub struct Backend {
    topology: Box<dyn Topology>,
    hides_ttls: AtomicBool,
    pools: Arc<Pools>,
    listener: Arc<dyn FailoverListener>,
    /// The changes of primaries that the listener was told of.
    told: AtomicU64,
}

impl Backend {
    /// Connects to nothing.
    pub fn new(path: SavePath, pools: &Arc<Pools>, listener: Arc<dyn FailoverListener>) -> Self {
        let topology: Box<dyn Topology> = match path.topology() {
            save_path::Topology::Standalone(path) => Box::new(Weighted::new(path, pools)),
            save_path::Topology::Sentinel(path) => Box::new(Sentinel::new(path.clone(), pools)),
            save_path::Topology::Cluster(path) => Box::new(Cluster::new(path.clone(), pools)),
        };
        Self {
            topology,
            hides_ttls: AtomicBool::new(false),
            pools: pools.clone(),
            listener,
            told: AtomicU64::new(0),
        }
    }

    /// Where `sid` belongs. Asks no one.
    ///
    /// # Errors
    /// [`Error::Sid`]: in a cluster, where its keys cannot be in one slot.
    pub fn location(&self, sid: Sid<'_>) -> Result<SessionLocation, Error> {
        self.topology.locate(sid)
    }

    /// Whether this is a cluster.
    pub fn is_cluster(&self) -> bool {
        self.topology.is_cluster()
    }

    /// Whether a session may be served by another server later.
    pub fn is_changing(&self) -> bool {
        self.topology.is_changing()
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

    /// What this process counts.
    pub fn counters(&self) -> &Counters {
        &self.pools.runtime().counters
    }

    /// Which servers let how many connections of this process wait.
    pub fn wait_limits(&self) -> &Arc<WaitLimits> {
        &self.pools.runtime().wait_limits
    }

    /// Whether `server` does not serve `location` any more, as far as can be seen
    /// without asking anyone.
    pub fn is_cut_off(&self, location: &SessionLocation, server: &str) -> bool {
        self.is_changing()
            && self.topology.known_server(location).is_some_and(|known| {
                known.host().address.to_string() != server || known.is_cut_off()
            })
    }

    /// The server that `location` is on, as far as is known, for the log.
    pub fn name(&self, location: &SessionLocation) -> String {
        let known = self.topology.known_server(location);
        known.map_or_else(|| "unknown".to_owned(), |known| known.host().address.to_string())
    }

    /// Runs one exchange where `location` is, and does not try again. Waits for
    /// the server, and for others where it is not known. Returns the server's name
    /// with its answer; none where no server is known.
    pub fn run_once<T>(
        &self,
        location: &SessionLocation,
        exchange: impl FnMut(&mut dyn ConnectionLike) -> RedisResult<T>,
    ) -> Option<(String, Result<T, AttemptError>)> {
        let server = self.topology.find_server(location, ReadRouting::Primary).ok()?;
        Some((server.host().address.to_string(), server.run(exchange)))
    }

    /// Runs one exchange where `location` is, waits for its answer, and repeats
    /// it where that helps, for up to `failover_budget` after the first failure.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Exchange`] or [`Error::Refused`].
    pub fn run<T>(
        &self,
        location: &SessionLocation,
        routing: ReadRouting,
        failover_budget: Duration,
        mut exchange: impl FnMut(&mut dyn ConnectionLike) -> RedisResult<T>,
    ) -> Result<T, Error> {
        self.attempt(location, routing, failover_budget, |server| server.run(&mut exchange))
    }

    /// Sends a command that is answered when the server sees fit. Repeats that as
    /// [`Backend::run`] does.
    ///
    /// # Errors
    /// As for [`Backend::run`].
    pub fn send(
        &self,
        location: &SessionLocation,
        failover_budget: Duration,
        command: &[&[u8]],
    ) -> Result<PooledConnection, Error> {
        self.attempt(location, ReadRouting::Wait, failover_budget, |server| server.send(command))
    }

    fn attempt<T>(
        &self,
        location: &SessionLocation,
        routing: ReadRouting,
        failover_budget: Duration,
        attempt: impl FnMut(&Endpoint) -> Result<T, AttemptError>,
    ) -> Result<T, Error> {
        let answer = with_retries(&*self.topology, location, routing, failover_budget, attempt)?;
        let changes = self.topology.changes();
        if answer.disturbed || changes != self.told.swap(changes, Ordering::Relaxed) {
            self.listener.primary_changed(self);
        }
        Ok(answer.value)
    }

    /// Closes the connections that are not to outlive a request.
    pub fn end_request(&self) {
        self.topology.end_request();
    }
}
