//! The map of a cluster's slots, and the answers that it is made from.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use redis::{RedisError, RedisResult, Value};

use crate::client::endpoint::Endpoint;
use crate::client::resp::protocol_error;
use crate::config::server::Address;

/// Redirected slots after which the map as a whole is asked for again.
const MAX_MOVED: usize = 16;

/// Who serves what, as far as we were told.
#[derive(Default)]
pub(super) struct SlotMap {
    ranges: Vec<Range>,
    /// The node that told them.
    pub(super) told_by: Option<Address>,
    /// Slots that a redirection has corrected since the map was read, and
    /// the node that redirected.
    pub(super) moved: HashMap<u16, (Address, Address)>,
    /// Whether the map is known to be out of date, and who has failed.
    pub(super) stale: bool,
    pub(super) suspect: Option<Address>,
    /// The nodes that slots were last seen moving to, and when.
    pub(super) moving: HashMap<u16, (Arc<Endpoint>, Instant)>,
    pub(super) primaries: HashMap<String, Arc<Endpoint>>,
    pub(super) replicas: HashMap<String, Arc<Endpoint>>,
}

/// Consecutive slots, and the nodes that have them.
pub struct Range {
    first: u16,
    last: u16,
    primary: Address,
    replicas: Vec<Address>,
}

impl SlotMap {
    /// Whether the map as a whole is to be asked for again.
    pub(super) fn is_out_of_date(&self) -> bool {
        self.stale || self.ranges.is_empty() || self.moved.len() > MAX_MOVED
    }

    /// The primary of `slot` and its replicas.
    pub(super) fn nodes_of(&self, slot: u16) -> Option<(Address, Vec<Address>)> {
        let range = self.ranges.iter().find(|range| (range.first..=range.last).contains(&slot));
        let moved = self.moved.get(&slot).map(|(to, _)| to);
        let primary = moved.or(range.map(|range| &range.primary))?;
        Some((primary.clone(), range.map(|range| range.replicas.clone()).unwrap_or_default()))
    }

    /// Takes the map that `told_by` has told, and forgets corrections of the last.
    pub(super) fn replace(&mut self, ranges: Vec<Range>, told_by: &Address, seeds: &[Address]) {
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
pub fn parse_ranges(answer: Value, from: &Address) -> RedisResult<Vec<Range>> {
    let Value::Array(entries) = answer else { return Err(malformed()) };
    let ranges = entries.into_iter().map(|entry| {
        let Value::Array(parts) = entry else { return Err(malformed()) };
        let mut parts = parts.into_iter();
        let (Some(Value::Int(first)), Some(Value::Int(last))) = (parts.next(), parts.next()) else {
            return Err(malformed());
        };
        let mut nodes = parts.map(|node| parse_node(node, from));
        let primary = nodes.next().ok_or_else(malformed)??;
        let bound = |slot: i64| u16::try_from(slot).map_err(|_| malformed());
        let replicas = nodes.collect::<RedisResult<_>>()?;
        Ok(Range { first: bound(first)?, last: bound(last)?, primary, replicas })
    });
    ranges.collect()
}

fn parse_node(node: Value, from: &Address) -> RedisResult<Address> {
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
        let map = parse_ranges(redis::parse_redis_value(answer).unwrap(), &seed()).unwrap();
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
            assert!(parse_ranges(redis::parse_redis_value(answer).unwrap(), &seed()).is_err());
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
