//! Finds the node of a cluster that serves a slot.
//!
//! The map of slots is kept between requests. A redirection corrects one
//! slot; a node that fails makes us ask the others for a new map, once.

mod moving;
mod slots;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::client::endpoint::{AttemptError, Endpoint};
use crate::client::login::Role;
use crate::client::pools::Pools;
use crate::config::save_path::{self, Failover};
use crate::config::server::Address;
use crate::error::Error;
use crate::key::Keys;
use crate::topology::{ReadRouting, RetryDecision, has_moved, random_share};

use slots::Map;
pub use slots::{ranges, redirection};

/// How long a slot that was seen moving is taken to be, for waits.
const MOVING: Duration = Duration::from_secs(1);

/// The nodes of one cluster, and who serves what.
pub struct Cluster {
    path: save_path::Cluster,
    pools: Arc<Pools>,
    map: Mutex<Map>,
    /// Whether nodes have refused to move keys for us.
    moves_nothing: AtomicBool,
}

impl Cluster {
    /// Connects to nothing.
    pub fn new(path: save_path::Cluster, pools: &Arc<Pools>) -> Self {
        let pools = pools.clone();
        let moves_nothing = AtomicBool::new(false);
        let cluster = Self { path, pools, map: Mutex::default(), moves_nothing };
        for seed in &cluster.path.seeds {
            cluster.endpoint(&mut cluster.map(), seed, Role::Any);
        }
        cluster
    }

    /// The node that serves `slot`.
    ///
    /// # Errors
    /// [`Error::Connect`] tells what each node said, or that none has the slot.
    pub fn node(&self, slot: usize, access: ReadRouting) -> Result<Arc<Endpoint>, Error> {
        if self.map().is_out_of_date() {
            self.discover()?;
        }
        let map = &mut *self.map();
        if access == ReadRouting::Wait
            && let Some((receiver, seen)) = map.moving.get(&slot)
            && seen.elapsed() < MOVING
        {
            return Ok(receiver.clone());
        }
        let Some((primary, replicas)) = map.nodes_of(slot) else {
            map.stale = true;
            return Err(Error::Connect {
                host: "cluster".to_owned(),
                reason: format!("no node serves slot {slot}: is a part of the cluster down?"),
            });
        };
        let distribute = access == ReadRouting::Read && self.path.failover == Failover::Distribute;
        let chosen = if distribute { pick(&replicas, 1) } else { None };
        let (address, role) = match chosen {
            Some(replica) => (replica, Role::Replica),
            None => (primary, Role::Any),
        };
        Ok(self.endpoint(map, &address, role))
    }

    /// The node that is believed to serve `slot`.
    pub fn known_node(&self, slot: usize) -> Option<Arc<Endpoint>> {
        let map = self.map();
        let (primary, _) = map.nodes_of(slot)?;
        map.primaries.get(&primary.to_string()).cloned()
    }

    /// What is said of the node that serves `slot`, and who says so, for the
    /// message when it does not.
    pub fn blame(&self, slot: usize) -> String {
        let map = self.map();
        let told_by = map.moved.get(&slot).map(|(_, from)| from).or(map.told_by.as_ref());
        let says = told_by.map_or_else(String::new, |node| format!(", says {node}"));
        format!("; it serves slot {slot} of the cluster{says}")
    }

    /// What to do about `trouble` with the node `failed`, which was asked for
    /// `keys`.
    pub fn again(
        &self,
        slot: usize,
        keys: &Keys,
        access: ReadRouting,
        failed: &Arc<Endpoint>,
        trouble: &AttemptError,
    ) -> RetryDecision {
        if let AttemptError::Exchange(error) = trouble
            && error.code() == Some("TRYAGAIN")
            && let Some(to) = self.settle(keys, failed)
        {
            let map = &mut *self.map();
            let receiver = self.endpoint(map, &to, Role::Any);
            let receiver = Arc::new(receiver.asking());
            map.moving.insert(slot, (receiver.clone(), Instant::now()));
            return RetryDecision::Once(receiver);
        }
        let map = &mut *self.map();
        if let AttemptError::Exchange(error) = trouble
            && let Some(to) = redirection(error, &failed.host().address)
        {
            if error.code() == Some("ASK") {
                let receiver = self.endpoint(map, &to, Role::Any);
                return RetryDecision::Once(Arc::new(receiver.asking()));
            }
            map.moved.insert(slot, (to, failed.host().address.clone()));
            return RetryDecision::Elsewhere { at_once: true };
        }
        if !has_moved(trouble) {
            return RetryDecision::Nowhere;
        }
        map.stale = true;
        map.suspect = Some(failed.host().address.clone());
        if access == ReadRouting::Read
            && self.path.failover == Failover::Error
            && let Some((_, replicas)) = map.nodes_of(slot)
            && let Some(replica) = pick(&replicas, 0)
        {
            return RetryDecision::Once(self.endpoint(map, &replica, Role::Replica));
        }
        RetryDecision::Elsewhere { at_once: false }
    }

    /// Closes the connections that are not to outlive a request.
    pub fn end_request(&self) {
        if !self.path.node.persistent {
            let map = self.map();
            map.primaries.values().chain(map.replicas.values()).for_each(|e| e.end_request());
        }
    }

    /// Asks one node after another for the map of slots: those that we have a
    /// connection to first, one that has failed last.
    fn discover(&self) -> Result<(), Error> {
        let (mut nodes, suspect): (Vec<_>, _) = {
            let map = self.map();
            (map.primaries.values().cloned().collect(), map.suspect.clone())
        };
        nodes.sort_by_cached_key(|node| {
            (Some(&node.host().address) == suspect.as_ref(), !node.has_connection())
        });
        let mut reasons = Vec::new();
        for node in nodes {
            let from = &node.host().address;
            match node.run(|link| ranges(link.call(&[b"CLUSTER", b"SLOTS"])?, from)) {
                Ok(ranges) => {
                    self.map().replace(ranges, from, &self.path.seeds);
                    return Ok(());
                }
                Err(trouble) => reasons.push(node.failure(trouble).in_short()),
            }
        }
        Err(Error::Connect {
            host: "cluster".to_owned(),
            reason: format!("no node sent the map of the cluster: {}", reasons.join("; ")),
        })
    }

    fn endpoint(&self, map: &mut Map, address: &Address, role: Role) -> Arc<Endpoint> {
        let known = match role {
            Role::Replica => &mut map.replicas,
            Role::Any | Role::Primary => &mut map.primaries,
        };
        let make =
            || Arc::new(Endpoint::new(self.path.node.at(address.clone()), role, &self.pools));
        known.entry(address.to_string()).or_insert_with(make).clone()
    }

    fn map(&self) -> MutexGuard<'_, Map> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of `replicas` by chance, or none, which stands for `others` more.
fn pick(replicas: &[Address], others: u32) -> Option<Address> {
    let count = u32::try_from(replicas.len()).unwrap_or(0) + others;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // from 0 to count
    let index = (random_share() * f64::from(count)) as usize;
    replicas.get(index).cloned()
}
