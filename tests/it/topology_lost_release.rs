//! A primary fails that was told that a lock is released, and has not told its
//! replica: no request waits until that lock ends by itself.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::cluster::{Cluster, ask, await_replicas_with, session_key};
use crate::support::php::{Php, Running};
use crate::support::process::wait_until;
use crate::support::sentinel::{Sentinel, SentinelOptions};
use crate::support::servers::RedisServer;
use crate::support::site::warnings;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Uses a session and releases it, and another one when it is told to.
const USE_TWO: &str = "
    session_id(getenv('ONE')); session_start(); echo \"held\\n\";
    while (!file_exists(getenv('DIR') . '/close')) { usleep(5000); clearstatcache(); }
    $_SESSION['n'] = 1; session_write_close(); echo \"closed\\n\";
    while (!file_exists(getenv('DIR') . '/other')) { usleep(5000); clearstatcache(); }
    session_id(getenv('TWO')); session_start(); $_SESSION['n'] = 1; session_write_close();
    echo \"other\\n\";
    while (!file_exists(getenv('DIR') . '/end')) { usleep(5000); clearstatcache(); }";
const VISIT: &str = "session_id(getenv('ONE')); echo \"waits\\n\"; session_start();
    $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0); session_write_close(); echo $_SESSION['n'];";
/// Much less than what is left of the lock.
const SOON: Duration = Duration::from_millis(1_500);

struct Scene {
    php: Php,
    dir: tempfile::TempDir,
    user: Running,
    /// The value of its lock.
    token: String,
}

impl Scene {
    fn set(php: Php, ids: [&str; 2], lock: &str, primary: &RedisServer, replicas: usize) -> Self {
        let dir = tempfile::TempDir::with_prefix("lost-release-").unwrap();
        let php = php.env("ONE", ids[0]).env("TWO", ids[1]);
        let php = php.env("DIR", dir.path().to_str().unwrap());
        let user = php.spawn(USE_TWO);
        wait_until("the lock is held", || user.stdout().contains("held"));
        let token: String = ask(primary, &["GET", lock]);
        let scene = Self { php, dir, user, token };
        scene.tell("close");
        wait_until("it is released", || scene.user.stdout().contains("closed"));
        assert_eq!(ask::<usize>(primary, &["EXISTS", lock]), 0);
        let tag = lock.split('}').next().filter(|_| lock.contains('{'));
        let key = tag.map_or("last".to_owned(), |tag| format!("{tag}}}-last"));
        await_replicas_with(primary, replicas, &key);
        scene
    }

    fn path(&self, what: &str) -> PathBuf {
        self.dir.path().join(what)
    }

    fn tell(&self, what: &str) {
        File::create(self.path(what)).unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.user.pid()), signal).unwrap();
    }

    /// `primary` has the lock still, as a replica that was not told in time. Who
    /// released it is idle, or busy with another session.
    fn play(self, primary: &RedisServer, lock: &str, idle: bool) {
        let set = ["SET", lock, &self.token, "PX", "9000"];
        assert_eq!(ask::<String>(primary, &set), "OK");
        let visitor = self.php.spawn(VISIT);
        wait_until("a visitor waits", || {
            let clients: String = ask(primary, &["INFO", "clients"]);
            clients.contains("blocked_clients:1")
        });
        let begin = Instant::now();
        self.signal(Signal::SIGCONT);
        if !idle {
            self.tell("other");
        }
        let output = visitor.wait().ok();
        assert!(begin.elapsed() < SOON, "{:?}: {output}", begin.elapsed());
        assert_eq!(warnings(&output), [""; 0], "{output}");
        assert!(output.ends_with('2'), "{output}");
        self.tell("other");
        self.tell("end");
        let output = self.user.wait().ok();
        assert_eq!(warnings(&output), [""; 0], "{output}");
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
fn a_release_is_repeated_to_the_primary_that_the_sentinels_name() {
    for idle in [false, true] {
        let mut service = Sentinel::start(SentinelOptions::default());
        let lock = "PHPREDIS_SESSION:one_LOCK";
        let primary = service.server(service.primary());
        let php = php("redis", &service.save_path("", ""));
        let scene = Scene::set(php, ["one", "two"], lock, primary, 2);
        scene.signal(Signal::SIGSTOP); // or it would be too fast for us
        let old = service.kill_primary();
        wait_until("there is a new primary", || service.primary() != old);
        scene.play(service.server(service.primary()), lock, idle);
    }
}

#[test]
fn a_release_is_repeated_to_the_new_primary_of_its_slot() {
    for idle in [false, true] {
        let mut cluster = Cluster::replicated();
        let ids = ["{same}-one", "{same}-two"];
        let lock = format!("{}_LOCK", session_key(ids[0]));
        let primary = cluster.primary_of("{same}");
        let php = php("rediscluster", &cluster.save_path(&[0, 1, 2], ""));
        let scene = Scene::set(php, ids, &lock, cluster.node(primary), 1);
        scene.signal(Signal::SIGSTOP);
        cluster.kill(primary);
        wait_until("there is a new primary", || cluster.primary_of("{same}") != primary);
        scene.play(cluster.node(cluster.primary_of("{same}")), &lock, idle);
    }
}
