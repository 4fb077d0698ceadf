//! Finds the node of a cluster that serves a slot.
//!
//! The map of slots is kept between requests. A redirection corrects one
//! slot; a node that fails makes us ask the others for a new map, once.

mod moving;
mod slots;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::contract::{ReadRouting, RetryDecision, SessionLocation, Shard, Topology};
use super::retry::{has_moved, random_share};
use crate::client::endpoint::{AttemptError, Endpoint};
use crate::client::login::Role;
use crate::client::pools::Pools;
use crate::config::save_path::{self, Failover};
use crate::config::server::Address;
use crate::error::Error;
use crate::key::{CLUSTER_PREFIX, Keys, Sid};

use slots::SlotMap;
pub use slots::{parse_ranges, redirection};

/// How long a slot that was seen moving is taken to be, for waits.
const MOVING: Duration = Duration::from_secs(1);

/// The nodes of one cluster, and who serves what.
pub(super) struct Cluster {
    path: save_path::Cluster,
    pools: Arc<Pools>,
    map: Mutex<SlotMap>,
    /// Whether nodes have refused to move keys for us.
    moves_nothing: AtomicBool,
}

impl Cluster {
    /// Connects to nothing.
    pub(super) fn new(path: save_path::Cluster, pools: &Arc<Pools>) -> Self {
        let pools = pools.clone();
        let moves_nothing = AtomicBool::new(false);
        let cluster = Self { path, pools, map: Mutex::default(), moves_nothing };
        for seed in &cluster.path.seeds {
            cluster.endpoint(&mut cluster.map(), seed, Role::Any);
        }
        cluster
    }

    /// Asks one node after another for the map of slots, and waits for them:
    /// those that we have a connection to first, one that has failed last.
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
            match node
                .run(|connection| parse_ranges(connection.call(&[b"CLUSTER", b"SLOTS"])?, from))
            {
                Ok(ranges) => {
                    self.map().replace(ranges, from, &self.path.seeds);
                    return Ok(());
                }
                Err(error) => reasons.push(node.failure(error).in_short()),
            }
        }
        Err(Error::Connect {
            host: "cluster".to_owned(),
            reason: format!("no node sent the map of the cluster: {}", reasons.join("; ")),
        })
    }

    /// The node at `address`, as it is logged in to in this `role`; made where
    /// it was not known.
    fn endpoint(&self, map: &mut SlotMap, address: &Address, role: Role) -> Arc<Endpoint> {
        let known = match role {
            Role::Replica => &mut map.replicas,
            Role::Any | Role::Primary => &mut map.primaries,
        };
        let make =
            || Arc::new(Endpoint::new(self.path.node.at(address.clone()), role, &self.pools));
        known.entry(address.to_string()).or_insert_with(make).clone()
    }

    /// The node at `address`, told that it is asked for a slot it is receiving.
    fn receiver(&self, map: &mut SlotMap, address: &Address) -> Arc<Endpoint> {
        Arc::new(self.endpoint(map, address, Role::Any).asking())
    }

    fn map(&self) -> MutexGuard<'_, SlotMap> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Topology for Cluster {
    fn locate(&self, sid: Sid<'_>) -> Result<SessionLocation, Error> {
        let prefix = self.path.node.prefix.as_deref().unwrap_or(CLUSTER_PREFIX);
        let keys = Arc::new(Keys::in_one_slot(prefix, sid)?);
        let shard = Shard::Slot(crate::key::slot(&keys.session));
        Ok(SessionLocation { keys, shard })
    }

    fn find_server(
        &self,
        location: &SessionLocation,
        routing: ReadRouting,
    ) -> Result<Arc<Endpoint>, Error> {
        let slot = slot_of(location);
        if self.map().is_out_of_date() {
            self.discover()?;
        }
        let map = &mut *self.map();
        if routing == ReadRouting::Wait
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
        let distribute = routing == ReadRouting::Read && self.path.failover == Failover::Distribute;
        let chosen = if distribute { pick(&replicas, 1) } else { None };
        let (address, role) = match chosen {
            Some(replica) => (replica, Role::Replica),
            None => (primary, Role::Any),
        };
        Ok(self.endpoint(map, &address, role))
    }

    fn known_server(&self, location: &SessionLocation) -> Option<Arc<Endpoint>> {
        let map = self.map();
        let (primary, _) = map.nodes_of(slot_of(location))?;
        map.primaries.get(&primary.to_string()).cloned()
    }

    fn decide(
        &self,
        location: &SessionLocation,
        routing: ReadRouting,
        failed: &Arc<Endpoint>,
        error: &AttemptError,
    ) -> RetryDecision {
        let slot = slot_of(location);
        if let AttemptError::Exchange(answer) = error
            && answer.code() == Some("TRYAGAIN")
            && let Some(to) = moving::gather_keys(&location.keys, failed, &self.moves_nothing)
        {
            let map = &mut *self.map();
            let receiver = self.receiver(map, &to);
            map.moving.insert(slot, (receiver.clone(), Instant::now()));
            return RetryDecision::Once(receiver);
        }
        let map = &mut *self.map();
        if let AttemptError::Exchange(answer) = error
            && let Some(to) = redirection(answer, &failed.host().address)
        {
            if answer.code() == Some("ASK") {
                return RetryDecision::Once(self.receiver(map, &to));
            }
            map.moved.insert(slot, (to, failed.host().address.clone()));
            return RetryDecision::Elsewhere { at_once: true };
        }
        if !has_moved(error) {
            return RetryDecision::Nowhere;
        }
        map.stale = true;
        map.suspect = Some(failed.host().address.clone());
        if routing == ReadRouting::Read
            && self.path.failover == Failover::Error
            && let Some((_, replicas)) = map.nodes_of(slot)
            && let Some(replica) = pick(&replicas, 0)
        {
            return RetryDecision::Once(self.endpoint(map, &replica, Role::Replica));
        }
        RetryDecision::Elsewhere { at_once: false }
    }

    fn blame(&self, location: &SessionLocation) -> String {
        let slot = slot_of(location);
        let map = self.map();
        let told_by = map.moved.get(&slot).map(|(_, from)| from).or(map.told_by.as_ref());
        let says = told_by.map_or_else(String::new, |node| format!(", says {node}"));
        format!("; it serves slot {slot} of the cluster{says}")
    }

    fn is_cluster(&self) -> bool {
        true
    }

    fn retry_interval(&self) -> Duration {
        self.path.node.retry_interval
    }

    fn end_request(&self) {
        if !self.path.node.persistent {
            let map = self.map();
            map.primaries.values().chain(map.replicas.values()).for_each(|e| e.end_request());
        }
    }
}

fn slot_of(location: &SessionLocation) -> u16 {
    match location.shard {
        Shard::Slot(slot) => slot,
        Shard::Server(_) | Shard::Primary => crate::key::slot(&location.keys.session),
    }
}

/// One of `replicas` by chance, or none, which counts as `others` more.
fn pick(replicas: &[Address], others: u32) -> Option<Address> {
    let count = u32::try_from(replicas.len()).unwrap_or(0) + others;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // from 0 to count
    let index = (random_share() * f64::from(count)) as usize;
    replicas.get(index).cloned()
}
