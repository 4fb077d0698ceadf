//! A real Redis Cluster: that of `tools/servers`, and what tests do to it.
//!
//! Nodes have numbers, from 0 on those that begin as primaries; roles change, numbers do not.

pub use ::servers::cluster::{ClusterOptions, Shard};

use super::process::wait_until;
use super::servers::{RedisServer, unwrapped};
use ::servers::certs::Certs;
use ::servers::folder::Folder;
use ::servers::{Server, cluster};
use std::thread;
use std::time::Duration;

pub struct Cluster {
    nodes: Vec<RedisServer>,
    /// What the nodes call themselves, in the order of their numbers.
    ids: Vec<String>,
    options: ClusterOptions,
    certs: Option<(Certs, Folder)>,
}

impl Cluster {
    /// Three primaries with one replica each.
    pub fn replicated() -> Self {
        Self::start(ClusterOptions { replicas: 1, ..ClusterOptions::default() })
    }

    /// Returns once all nodes agree that everything is served and replicated.
    pub fn start(options: ClusterOptions) -> Self {
        let cluster::Cluster { nodes, ids, certs } = unwrapped(cluster::Cluster::start(&options));
        let nodes = nodes.into_iter().map(RedisServer::from).collect();
        Self { nodes, ids, options, certs }
    }

    /// Waits until all nodes that are up see the same, complete cluster, and
    /// all replicas are in sync.
    #[track_caller]
    pub fn await_ready(&self) {
        let live: Vec<&Server> = self.live().map(RedisServer::inner).collect();
        unwrapped(cluster::await_ready(&live, &self.ids));
    }

    /// By number.
    pub fn node(&self, number: usize) -> &RedisServer {
        &self.nodes[number]
    }

    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The nodes that are up.
    pub fn live(&self) -> impl Iterator<Item = &RedisServer> {
        self.nodes.iter().filter(|node| node.is_up())
    }

    /// Of a cluster with TLS.
    pub fn certs(&self) -> &Certs {
        &self.certs.as_ref().expect("ClusterOptions::tls is set").0
    }

    /// A save path in phpredis' form, with these nodes as seeds.
    pub fn save_path(&self, seeds: &[usize], query: &str) -> String {
        let seeds: Vec<String> = seeds
            .iter()
            .map(|&number| match self.options.tls {
                true => format!("seed[]=127.0.0.1:{}", self.nodes[number].tls_port()),
                false => format!("seed[]={}", self.nodes[number].addr()),
            })
            .collect();
        let query = if query.is_empty() { String::new() } else { format!("&{query}") };
        seeds.join("&") + &query
    }

    /// Who serves what, as the first node that is up sees it.
    pub fn shards(&self) -> Vec<Shard> {
        self.shards_seen_by(self.live().next().expect("a node is up"))
    }

    pub fn shards_seen_by(&self, node: &RedisServer) -> Vec<Shard> {
        unwrapped(cluster::shards_seen_by(node.inner(), &self.ids))
    }

    pub fn slot_of(&self, key: &str) -> usize {
        ask(self.live().next().unwrap(), &["CLUSTER", "KEYSLOT", key])
    }

    pub fn shard_of(&self, key: &str) -> Shard {
        let slot = self.slot_of(key);
        let found = self.shards().into_iter().find(|s| (s.first..=s.last).contains(&slot));
        found.unwrap_or_else(|| panic!("no node serves {slot}"))
    }

    pub fn primary_of(&self, key: &str) -> usize {
        self.shard_of(key).primary
    }

    /// Kills the primary as `kill -9` does, and returns its number.
    pub fn kill_primary_of(&mut self, key: &str) -> usize {
        let primary = self.primary_of(key);
        self.nodes[primary].kill();
        primary
    }

    pub fn kill(&mut self, number: usize) {
        self.nodes[number].kill();
    }

    pub fn freeze(&mut self, number: usize) {
        self.nodes[number].pause();
    }

    pub fn thaw(&mut self, number: usize) {
        self.nodes[number].resume();
    }

    /// Ends the node as an operator does and starts it again; returns once it
    /// is part of the cluster and in sync.
    pub fn restart(&mut self, number: usize) {
        if self.nodes[number].is_up() {
            self.nodes[number].shut_down();
        }
        self.nodes[number].restart();
        self.await_ready();
    }

    /// `CLUSTER FAILOVER`: a replica takes over in agreement with its primary.
    /// Returns the numbers of the old and the new one.
    pub fn failover(&self, key: &str) -> (usize, usize) {
        let shard = self.shard_of(key);
        let replica = shard.replicas[0];
        let _: String = ask(&self.nodes[replica], &["CLUSTER", "FAILOVER"]);
        wait_until("the replica has taken over", || is_primary(&self.nodes[replica]));
        (shard.primary, replica)
    }

    /// Moves a slot in the steps that an operator takes, with `pause` between
    /// them; in the meantime clients are redirected with ASK, then with MOVED.
    pub fn migrate_slot(&self, slot: usize, to: usize, pause: Duration) {
        let from = self.begin_migration(slot, to);
        thread::sleep(pause);
        while self.move_keys(slot, from, to) > 0 {}
        thread::sleep(pause);
        self.end_migration(slot, from, to);
    }

    /// The receiver knows, then the giver. Returns the giver.
    pub fn begin_migration(&self, slot: usize, to: usize) -> usize {
        let shards = self.shards();
        let owner = shards.iter().find(|s| (s.first..=s.last).contains(&slot)).unwrap();
        let (from, number) = (owner.primary, slot.to_string());
        self.set_slot(to, &number, "IMPORTING", from);
        self.set_slot(from, &number, "MIGRATING", to);
        from
    }

    /// Returns how many were there to move.
    pub fn move_keys(&self, slot: usize, from: usize, to: usize) -> usize {
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        let slot = slot.to_string();
        let keys: Vec<String> = ask(from, &["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
        if !keys.is_empty() {
            let port = if self.options.tls { to.tls_port() } else { to.port() }.to_string();
            let mut command = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000"];
            if let Some(password) = &self.options.requirepass {
                command.extend(["AUTH", password]);
            }
            command.push("KEYS");
            command.extend(keys.iter().map(String::as_str));
            let _: String = ask(from, &command);
        }
        keys.len()
    }

    pub fn end_migration(&self, slot: usize, from: usize, to: usize) {
        let slot = slot.to_string();
        let primaries = self.shards().into_iter().map(|shard| shard.primary);
        let others = primaries.filter(|number| *number != from && *number != to);
        for number in [to, from].into_iter().chain(others) {
            self.set_slot(number, &slot, "NODE", to);
        }
    }

    fn set_slot(&self, on: usize, slot: &str, state: &str, node: usize) {
        let id = &self.ids[node];
        let _: String = ask(&self.nodes[on], &["CLUSTER", "SETSLOT", slot, state, id]);
    }

    /// How often all nodes that are up have answered with this error.
    pub fn errors(&self, code: &str) -> usize {
        self.live().map(|node| errors(node, code)).sum()
    }

    /// Session ids, one for each shard in the order of [`Cluster::shards`],
    /// then one more for each, and so on.
    pub fn spread_ids(&self, count: usize) -> Vec<String> {
        let shards = self.shards();
        let mut ids = Vec::new();
        for (index, shard) in (0..count).zip(shards.iter().cycle()) {
            let is_there = |id: &String| {
                let slot = self.slot_of(&session_key(id));
                (shard.first..=shard.last).contains(&slot)
            };
            let id = (0..).map(|try_| format!("visitor-{index}-{try_}")).find(is_there).unwrap();
            ids.push(id);
        }
        ids
    }
}

/// The key of a session in a cluster.
pub fn session_key(id: &str) -> String {
    format!("PHPREDIS_CLUSTER_SESSION:{id}")
}

/// How often this server has answered with this error since it was started.
pub fn errors(node: &RedisServer, code: &str) -> usize {
    let stats: String = ask(node, &["INFO", "errorstats"]);
    let start = format!("errorstat_{code}:count=");
    let count = stats.lines().find_map(|line| line.strip_prefix(&start));
    count.map_or(0, |count| count.trim().parse().unwrap())
}

/// How often this command was called on this server.
pub fn calls(node: &RedisServer, command: &str) -> usize {
    let stats: String = ask(node, &["INFO", "commandstats"]);
    let start = format!("cmdstat_{command}:calls=");
    let count = stats.lines().find_map(|line| line.strip_prefix(&start));
    count.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

/// Whether it says so itself. One that breaks off is just changing its role.
pub fn is_primary(node: &RedisServer) -> bool {
    ::servers::sentinel::is_primary(node.inner())
}

/// Asks as the default user, over the node's own socket.
#[track_caller]
pub fn ask<T: redis::FromRedisValue>(node: &RedisServer, command: &[&str]) -> T {
    let (name, args) = command.split_first().unwrap();
    let answer = redis::cmd(name).arg(args).query(&mut node.client());
    answer.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Waits until `replicas` replicas have all that this server has.
#[track_caller]
pub fn await_replicas(primary: &RedisServer, replicas: usize) {
    await_replicas_with(primary, replicas, "last");
}

/// The same in a cluster, with a key that this node serves.
#[track_caller]
pub fn await_replicas_with(primary: &RedisServer, replicas: usize, key: &str) {
    wait_until("the replicas have it all", || {
        // WAIT looks at what its own connection has written.
        let mut client = primary.client();
        redis::cmd("SET").arg(key).arg(1).exec(&mut client).unwrap();
        redis::cmd("DEL").arg(key).exec(&mut client).unwrap();
        let wait = redis::cmd("WAIT").arg(replicas).arg(100).query::<usize>(&mut client);
        wait.unwrap() == replicas
    });
}
