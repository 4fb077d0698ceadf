//! A request costs in a cluster, and with Sentinel, what it costs on one
//! server, once the worker knows who serves what.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::support::cluster::{Cluster, ClusterOptions, ask};
use crate::support::process::wait_until;
use crate::support::proxy::RecordingProxy;
use crate::support::scripted::ScriptedServer;
use crate::support::servers::{Options, RedisServer};
use crate::support::site::{Site, php};

const CHANGE: &str = "session_start(); $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);";
const LOOK: &str = "session_start();";
const SID: &str = "round-trips-0123456789";

/// What a page costs, unlocked and locked: what it does, its round trips, and
/// their commands without a lock.
const COSTS: [(&str, &str, usize, &str); 10] = [
    (SID, CHANGE, 2, "GET PTTL SET"),
    ("", CHANGE, 2, "GET SETEX"),
    (SID, LOOK, 2, "GET PTTL EXPIRE"),
    (SID, "session_start(['read_and_close' => true]);", 1, "GET"),
    (SID, "session_start(); $_SESSION['n'] = 0; session_abort();", 1, "GET PTTL"),
    (SID, "session_start(); session_regenerate_id(false);", 4, "GET PTTL SET GET SETEX"),
    (SID, "session_start(); session_regenerate_id(true);", 4, "GET PTTL DEL GET SETEX"),
    (SID, "session_start(); session_destroy();", 2, "GET PTTL DEL"),
    (SID, KNOWN_UNDER_STRICT, 2, "GET PTTL EXPIRE"),
    (SID, UNKNOWN_UNDER_STRICT, 3, "GET PTTL GET SETEX"),
];
const KNOWN_UNDER_STRICT: &str = "ini_set('session.use_strict_mode', 1); session_start();";
const UNKNOWN_UNDER_STRICT: &str = "ini_set('session.use_strict_mode', 1);
    session_id('unknown-' . bin2hex(random_bytes(8))); session_start();";
/// Releasing the lock is one more, where nothing else is sent.
const LOCKED: [usize; 10] = [2, 2, 2, 1, 2, 4, 4, 2, 2, 3];

/// Stopped in this order.
struct Fixture {
    site: Site,
    proxies: Vec<RecordingProxy>,
}

impl Fixture {
    fn reset(&self) {
        self.proxies.iter().for_each(RecordingProxy::reset);
    }

    fn round_trips(&self) -> usize {
        self.proxies.iter().map(RecordingProxy::round_trips).sum()
    }

    fn connections(&self) -> usize {
        self.proxies.iter().map(RecordingProxy::connections).sum()
    }

    /// Of all servers; in the order in which they were sent, if one was asked.
    fn commands(&self) -> Vec<String> {
        self.proxies.iter().flat_map(RecordingProxy::command_names).collect()
    }

    /// Each of the costs above.
    #[track_caller]
    fn assert_costs(&self, locked: bool) {
        // So that each server is known, and has seen each script.
        for number in 0..40 {
            for (_, page, ..) in COSTS {
                self.site.visit(&format!("warm-up-{number}"), page).ok();
            }
        }
        for ((sid, page, round_trips, commands), when_locked) in COSTS.into_iter().zip(LOCKED) {
            self.site.visit(sid, CHANGE).ok();
            self.reset();
            self.site.visit(sid, page).ok();
            let expected = if locked { when_locked } else { round_trips };
            assert_eq!(self.round_trips(), expected, "{page} {:?}", self.commands());
            assert_eq!(self.connections(), 0, "connections are kept: {page}");
            if !locked {
                let sorted = |mut names: Vec<&str>| {
                    names.sort_unstable();
                    names.join(" ")
                };
                let found = self.commands();
                let found = sorted(found.iter().map(String::as_str).collect());
                assert_eq!(found, sorted(commands.split(' ').collect()), "{page}");
            }
        }
    }
}

fn locking(locked: bool) -> (&'static str, &'static str) {
    ("redis.session.locking_enabled", if locked { "1" } else { "0" })
}

/// Nodes that announce proxies in front of them.
fn proxied(cluster: &Cluster) -> Vec<RecordingProxy> {
    let proxies: Vec<_> =
        cluster.nodes().iter().map(|node| RecordingProxy::start(node.addr())).collect();
    for (node, proxy) in cluster.nodes().iter().zip(&proxies) {
        let port = proxy.port().to_string();
        let _: String = ask(node, &["CONFIG", "SET", "cluster-announce-port", &port]);
    }
    wait_until("all nodes announce the proxies", || {
        cluster.nodes().iter().all(|node| {
            let nodes: String = ask(node, &["CLUSTER", "NODES"]);
            proxies.iter().all(|proxy| nodes.contains(&format!("{}@", proxy.addr())))
        })
    });
    proxies
}

#[test]
fn a_request_costs_the_same_in_a_cluster() {
    let cluster = Cluster::start(ClusterOptions::default());
    for locked in [false, true] {
        let proxies = proxied(&cluster);
        let seeds: Vec<_> = proxies.iter().map(|p| format!("seed[]={}", p.addr())).collect();
        let (name, value) = locking(locked);
        let php = php(&seeds.join("&")).ini("session.save_handler", "rediscluster");
        let site = Site::start(&php.ini("session.use_strict_mode", "0").ini(name, value));
        let fixture = Fixture { site, proxies };
        fixture.assert_costs(locked);
        // A cold worker asks for the map, once.
        fixture.site.fpm.kill_child(fixture.site.pid());
        fixture.reset();
        fixture.site.visit(SID, CHANGE).ok();
        let mut commands = fixture.commands();
        commands.retain(|name| matches!(name.as_str(), "CLUSTER" | "HELLO"));
        commands.sort_unstable();
        let logins = commands.len() - 1;
        assert_eq!(commands[0], "CLUSTER");
        assert!((1..=2).contains(&logins), "{commands:?}");
        assert_eq!(fixture.round_trips(), 2 + 1 + logins, "{:?}", fixture.commands());
        let moved: usize = cluster.errors("MOVED");
        assert_eq!(moved, 0, "the map was right");
    }
}

#[test]
fn a_request_costs_the_same_with_sentinel() {
    for locked in [false, true] {
        let server = RedisServer::start(Options::default());
        let proxy = RecordingProxy::start(server.addr());
        let sentinel = ScriptedServer::sentinel_naming(proxy.port());
        let watched = RecordingProxy::start(sentinel.addr());
        let (name, value) = locking(locked);
        let php = php(&format!("redis-sentinel://{}/any", watched.addr()));
        let site = Site::start(&php.ini("session.use_strict_mode", "0").ini(name, value));
        let fixture = Fixture { site, proxies: vec![proxy, watched] };
        fixture.assert_costs(locked);
        fixture.site.fpm.kill_child(fixture.site.pid());
        fixture.reset();
        fixture.site.visit(SID, CHANGE).ok();
        // The request asks; the helper thread begins to listen beside it.
        let asked = fixture.proxies[1].command_names();
        assert_eq!(asked[..2], ["HELLO", "SENTINEL"]);
        let listens = fixture.proxies[1].connections() - 1;
        assert!(listens <= 1, "{asked:?}");
        assert_eq!(fixture.proxies[0].round_trips(), 1 + 2, "{:?}", fixture.commands());
    }
}

#[test]
fn replicas_confirm_the_lock_and_the_write_within_the_same_round_trips() {
    let server = RedisServer::start(Options::default());
    let config = vec![format!("replicaof 127.0.0.1 {}", server.port())];
    let _replica = RedisServer::start(Options { config, ..Default::default() });
    wait_until("the replica is in sync", || ask::<usize>(&server, &["WAIT", "1", "10"]) == 1);
    let proxy = RecordingProxy::start(server.addr());
    let php = php(&format!("tcp://{}", proxy.addr())).ini("redis_session.wait_replicas", "1");
    for (locked, expected) in [
        (false, &["GET", "PTTL", "SET", "WAIT"][..]),
        (true, &["EVALSHA", "GET", "WAIT", "EVALSHA", "WAIT"]),
    ] {
        let (name, value) = locking(locked);
        let site = Site::start(&php.clone().ini("session.use_strict_mode", "0").ini(name, value));
        site.visit(SID, CHANGE).ok();
        proxy.reset();
        site.visit(SID, CHANGE).ok();
        assert_eq!(proxy.command_names(), expected);
        assert_eq!(proxy.round_trips(), 2);
    }
}
