//! Requests that wait for a session's lock while the server they wait at
//! changes: they go on waiting where the session is now, and get it.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use crate::support::cluster::{Cluster, ClusterOptions, ask, session_key};
use crate::support::php::{Php, Running};
use crate::support::process::wait_until;
use crate::support::sentinel::{Sentinel, SentinelOptions};
use crate::support::servers::{Options, RedisServer};
use crate::support::site::warnings;

const HOLD: &str = "session_id(getenv('ID')); var_dump(session_start()); echo \"held\\n\";
    while (!file_exists(getenv('GO'))) { usleep(5000); clearstatcache(); }
    $_SESSION['n'] = 1; var_dump(session_write_close());";
const WAIT: &str = "session_id(getenv('ID')); $t = microtime(true); var_dump(session_start());
    printf(\"%.2f\\n\", microtime(true) - $t); $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);
    var_dump(session_write_close()); echo $_SESSION['n'] ?? 0, \"\\n\";";

/// One request that holds the session until it is told to go on, and one that
/// waits for it in the server's queue.
struct Scene {
    holder: Running,
    waiter: Running,
    go: std::path::PathBuf,
    _dir: tempfile::TempDir,
}

impl Scene {
    #[track_caller]
    fn set(php: &Php, id: &str, blocked_at: &RedisServer) -> Self {
        let dir = tempfile::TempDir::with_prefix("scene-").unwrap();
        let go = dir.path().join("go");
        let php = php.clone().env("ID", id).env("GO", go.to_str().unwrap());
        let holder = php.spawn(HOLD);
        wait_until("the lock is held", || holder.stdout().contains("held"));
        let waiter = php.spawn(WAIT);
        wait_until("the other one waits", || {
            let clients: String = ask(blocked_at, &["INFO", "clients"]);
            clients.contains("blocked_clients:1")
        });
        Self { holder, waiter, go, _dir: dir }
    }

    /// Lets the holder write; both must end well, one after the other.
    #[track_caller]
    fn play(self) {
        std::fs::File::create(&self.go).unwrap();
        let held = self.holder.wait().ok();
        let waited = self.waiter.wait().ok();
        assert_eq!(warnings(&held), [""; 0], "{held}");
        assert_eq!(warnings(&waited), [""; 0], "{waited}");
        assert!(waited.ends_with("bool(true)\n2\n"), "{waited}");
    }
}

fn php(handler: &str, save_path: &str) -> Php {
    Php::new()
        .ini("session.save_handler", handler)
        .ini("session.save_path", save_path)
        .ini("redis.session.locking_enabled", "1")
        .ini("redis.session.lock_retries", "500")
}

#[test]
fn a_slot_that_moves_takes_its_waiters_along() {
    let cluster = Cluster::start(ClusterOptions::default());
    let id = &cluster.spread_ids(1)[0];
    let key = session_key(id);
    let php = php("rediscluster", &cluster.save_path(&[0, 1, 2], ""));
    let scene = Scene::set(&php, id, cluster.node(0));
    cluster.migrate_slot(cluster.slot_of(&key), 1, Duration::ZERO);
    scene.play();
}

#[test]
fn a_primary_that_hands_over_sends_its_waiters_on() {
    let cluster = Cluster::replicated();
    let id = &cluster.spread_ids(1)[0];
    let php = php("rediscluster", &cluster.save_path(&[0, 1, 2], ""));
    let scene = Scene::set(&php, id, cluster.node(0));
    cluster.failover(&session_key(id));
    scene.play();
}

#[test]
fn waiters_outlive_a_primary_that_is_killed() {
    let mut cluster = Cluster::replicated();
    let id = &cluster.spread_ids(1)[0];
    let php = php("rediscluster", &cluster.save_path(&[0, 1, 2], ""));
    let scene = Scene::set(&php, id, cluster.node(0));
    cluster.kill_primary_of(&session_key(id));
    scene.play();
}

#[test]
fn waiters_outlive_a_cluster_primary_that_freezes() {
    let mut cluster = Cluster::replicated();
    let id = &cluster.spread_ids(1)[0];
    let php = php("rediscluster", &cluster.save_path(&[0, 1, 2], "timeout=0.5&read_timeout=0.5"));
    let scene = Scene::set(&php, id, cluster.node(0));
    cluster.freeze(0);
    scene.play();
}

#[test]
fn waiters_outlive_a_sentinel_s_primary_that_freezes() {
    let mut service = Sentinel::start(SentinelOptions::default());
    let php = php("redis", &service.save_path("", "timeout=0.5&read_timeout=0.5"));
    let scene = Scene::set(&php, "visitor", service.server(0));
    service.freeze(0);
    scene.play();
}

#[test]
fn a_server_that_freezes_for_good_does_not_keep_its_waiters() {
    let mut server = RedisServer::start(Options::default());
    let php = php("redis", &format!("tcp://{}?timeout=0.5&read_timeout=0.5", server.addr()));
    let php = php.ini("redis.session.lock_retries", "100"); // two seconds
    let scene = Scene::set(&php, "visitor", &server);
    let start = Instant::now();
    server.pause();
    let waited = scene.waiter.wait().ok();
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}: {waited}", start.elapsed());
    assert_eq!(warnings(&waited).len(), 1, "{waited}");
}
