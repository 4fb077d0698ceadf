//! Finds the node of a cluster that serves a slot.
//!
//! The map of slots is kept between requests. A redirection corrects one
//! slot; a node that fails makes us ask the others for a new map, once.

mod moving;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::{RedisError, RedisResult, Value};

use crate::client::endpoint::{AttemptError, Endpoint};
use crate::client::login::Role;
use crate::client::pools::Pools;
use crate::client::resp::protocol_error;
use crate::config::save_path::{self, Failover};
use crate::config::server::Address;
use crate::error::Error;
use crate::key::Keys;
use crate::topology::{ReadRouting, RetryDecision, has_moved, random_share};

/// Redirected slots after which the map as a whole is asked for again.
const MAX_MOVED: usize = 16;

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

#[derive(Default)]
struct Map {
    ranges: Vec<Range>,
    /// The node that told them.
    told_by: Option<Address>,
    /// Slots that a redirection has corrected since the map was read, and
    /// the node that redirected.
    moved: HashMap<usize, (Address, Address)>,
    /// Whether the map is known to be out of date, and who has failed.
    stale: bool,
    suspect: Option<Address>,
    /// The nodes that slots were last seen moving to, and when.
    moving: HashMap<usize, (Arc<Endpoint>, Instant)>,
    primaries: HashMap<String, Arc<Endpoint>>,
    replicas: HashMap<String, Arc<Endpoint>>,
}

/// Consecutive slots, and the nodes that have them.
pub struct Range {
    first: usize,
    last: usize,
    primary: Address,
    replicas: Vec<Address>,
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

impl Map {
    fn is_out_of_date(&self) -> bool {
        self.stale || self.ranges.is_empty() || self.moved.len() > MAX_MOVED
    }

    fn nodes_of(&self, slot: usize) -> Option<(Address, Vec<Address>)> {
        let range = self.ranges.iter().find(|range| (range.first..=range.last).contains(&slot));
        let moved = self.moved.get(&slot).map(|(to, _)| to);
        let primary = moved.or(range.map(|range| &range.primary))?;
        Some((primary.clone(), range.map(|range| range.replicas.clone()).unwrap_or_default()))
    }

    fn replace(&mut self, ranges: Vec<Range>, told_by: &Address, seeds: &[Address]) {
        self.ranges = ranges;
        self.told_by = Some(told_by.clone());
        self.moved.clear();
        self.moving.clear();
        self.stale = false;
        self.suspect = None;
        // Connections to nodes that have left the cluster end here.
        let primaries: Vec<String> = self
            .ranges
            .iter()
            .map(|range| &range.primary)
            .chain(seeds)
            .map(ToString::to_string)
            .collect();
        let replicas: Vec<String> =
            self.ranges.iter().flat_map(|range| &range.replicas).map(ToString::to_string).collect();
        self.primaries.retain(|name, _| primaries.contains(name) || replicas.contains(name));
        self.replicas.retain(|name, _| replicas.contains(name));
    }
}

/// One of `replicas` by chance, or none, which stands for `others` more.
fn pick(replicas: &[Address], others: u32) -> Option<Address> {
    let count = u32::try_from(replicas.len()).unwrap_or(0) + others;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // from 0 to count
    let index = (random_share() * f64::from(count)) as usize;
    replicas.get(index).cloned()
}

/// Where a MOVED or ASK answer of the node at `from` points to.
pub fn redirection(error: &RedisError, from: &Address) -> Option<Address> {
    if !matches!(error.code(), Some("MOVED" | "ASK")) {
        return None;
    }
    let (node, _slot) = error.redirect_node()?;
    let (host, port) = node.rsplit_once(':')?;
    Some(node_address(host, port.parse().ok()?, from))
}

/// A node that does not know its own name leaves it out: it is the one asked.
fn node_address(host: &str, port: u16, from: &Address) -> Address {
    let host = match (host, from) {
        ("" | "?", Address::Tcp { host, .. }) => host.clone(),
        (host, _) => host.trim_matches(['[', ']']).to_owned(),
    };
    Address::Tcp { host, port }
}

/// Reads the answer to CLUSTER SLOTS: for each range first and last slot,
/// the primary, and its replicas.
///
/// # Errors
/// The answer is something else.
pub fn ranges(answer: Value, from: &Address) -> RedisResult<Vec<Range>> {
    let Value::Array(entries) = answer else { return Err(malformed()) };
    let ranges = entries.into_iter().map(|entry| {
        let Value::Array(parts) = entry else { return Err(malformed()) };
        let mut parts = parts.into_iter();
        let (Some(Value::Int(first)), Some(Value::Int(last))) = (parts.next(), parts.next()) else {
            return Err(malformed());
        };
        let mut nodes = parts.map(|node| read_node(node, from));
        let primary = nodes.next().ok_or_else(malformed)??;
        let bound = |slot: i64| usize::try_from(slot).map_err(|_| malformed());
        let replicas = nodes.collect::<RedisResult<_>>()?;
        Ok(Range { first: bound(first)?, last: bound(last)?, primary, replicas })
    });
    ranges.collect()
}

fn read_node(node: Value, from: &Address) -> RedisResult<Address> {
    let Value::Array(parts) = node else { return Err(malformed()) };
    let mut parts = parts.into_iter();
    let host = match parts.next() {
        Some(Value::BulkString(host)) => String::from_utf8_lossy(&host).into_owned(),
        Some(Value::Nil) => String::new(),
        _ => return Err(malformed()),
    };
    match parts.next() {
        Some(Value::Int(port)) => {
            let port = u16::try_from(port).map_err(|_| malformed())?;
            Ok(node_address(&host, port, from))
        }
        _ => Err(malformed()),
    }
}

fn malformed() -> RedisError {
    protocol_error("a malformed map of slots")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed() -> Address {
        Address::Tcp { host: "seed".to_owned(), port: 7000 }
    }

    #[test]
    fn a_map_of_slots_is_read_with_its_replicas_and_unnamed_nodes() {
        let answer = b"*2\r\n*4\r\n:0\r\n:99\r\n*3\r\n$2\r\nn1\r\n:7001\r\n$1\r\na\r\n*3\r\n$-1\r\n:7002\r\n$1\r\nb\r\n\
            *3\r\n:100\r\n:16383\r\n*3\r\n$0\r\n\r\n:7003\r\n$1\r\nc\r\n";
        let map = ranges(redis::parse_redis_value(answer).unwrap(), &seed()).unwrap();
        let shown = |range: &Range| {
            let replicas: Vec<_> = range.replicas.iter().map(ToString::to_string).collect();
            format!("{}-{} {} {replicas:?}", range.first, range.last, range.primary)
        };
        assert_eq!(shown(&map[0]), r#"0-99 n1:7001 ["seed:7002"]"#);
        assert_eq!(shown(&map[1]), "100-16383 seed:7003 []");
    }

    #[test]
    fn what_is_no_map_is_refused() {
        for answer in [&b"+OK\r\n"[..], b"*1\r\n:1\r\n", b"*1\r\n*2\r\n:1\r\n:2\r\n"] {
            assert!(ranges(redis::parse_redis_value(answer).unwrap(), &seed()).is_err());
        }
    }

    #[test]
    fn redirections_name_the_node_or_stay_with_the_host_that_was_asked() {
        let error = |line: &[u8]| match redis::parse_redis_value(line).unwrap() {
            Value::ServerError(error) => RedisError::from(error),
            _ => panic!("no error"),
        };
        let to = |line| redirection(&error(line), &seed()).map(|to| to.to_string());
        assert_eq!(to(b"-MOVED 1 10.0.0.1:7001\r\n").as_deref(), Some("10.0.0.1:7001"));
        assert_eq!(to(b"-ASK 1 :7001\r\n").as_deref(), Some("seed:7001"));
        assert_eq!(to(b"-ERR no\r\n"), None);
    }
}
