//! A slot of a cluster that stays between two nodes for a while: some sessions
//! are at the giver, some have arrived, and new ones are at the receiver.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use crate::support::cluster::{Cluster, ClusterOptions, ask, session_key};
use crate::support::php::Php;
use crate::support::process::wait_until;
use crate::support::site::Site;

const COUNT: &str = "session_start(); echo $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);";
const LOOK: &str = "session_start(['read_and_close' => true]); echo $_SESSION['n'] ?? 'none';";
/// More than what goes through a script.
const GROW: &str = "session_start(); $_SESSION['much'] = str_repeat('x', 10000);
    echo $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);";
const END: &str = "session_start(); session_destroy(); echo 'gone';";
const SOON: Duration = Duration::from_millis(500);

/// A slot, and where it moves from and to.
struct Moving<'a> {
    cluster: &'a Cluster,
    slot: usize,
    from: usize,
    to: usize,
    ids: Vec<String>,
}

impl<'a> Moving<'a> {
    /// Sessions of one slot, which does not move yet.
    fn of(cluster: &'a Cluster) -> Self {
        // The tag is what the slot is made of.
        let ids = (0..8).map(|n| format!("{{moving}}-{n}")).collect();
        let slot = cluster.slot_of("{moving}");
        let from =
            cluster.shards().iter().find(|s| (s.first..=s.last).contains(&slot)).unwrap().primary;
        Self { cluster, slot, from, to: (from + 1) % 3, ids }
    }

    fn begin(&self) {
        assert_eq!(self.cluster.begin_migration(self.slot, self.to), self.from);
    }

    fn exists_at(&self, node: usize, key: &str) -> bool {
        // The receiver answers only what was sent there.
        let mut client = self.cluster.node(node).client();
        let mut pipe = redis::pipe();
        pipe.cmd("ASKING").ignore().cmd("EXISTS").arg(key);
        let answer: redis::RedisResult<(bool,)> = pipe.query(&mut client);
        answer.is_ok_and(|(exists,)| exists)
    }

    /// Moves one session as whoever moves the slot would.
    fn move_session(&self, id: &str) {
        let port = self.cluster.node(self.to).port().to_string();
        let key = session_key(id);
        let command = ["MIGRATE", "127.0.0.1", &port, &key, "0", "5000"];
        assert_eq!(ask::<String>(self.cluster.node(self.from), &command), "OK");
    }

    fn end(&self) {
        while self.cluster.move_keys(self.slot, self.from, self.to) > 0 {}
        self.cluster.end_migration(self.slot, self.from, self.to);
    }
}

fn php(cluster: &Cluster, settings: &[(&str, &str)]) -> Php {
    let php = Php::new()
        .ini("session.save_handler", "rediscluster")
        .ini("session.save_path", &cluster.save_path(&[0, 1, 2], ""))
        .ini("redis.session.lock_retries", "500");
    settings.iter().fold(php, |php, (name, value)| php.ini(name, value))
}

const LOCKING: (&str, &str) = ("redis.session.locking_enabled", "1");
const EARLY: (&str, &str) = ("redis.session.early_refresh", "1");

#[track_caller]
fn visit(site: &Site, id: &str, code: &str, expected: &str) {
    let visit = site.visit(id, code);
    assert!(visit.took < SOON, "{visit:?}");
    assert_eq!(visit.ok(), expected, "{id}: {code}");
}

#[test]
fn sessions_of_a_slot_between_two_nodes_are_served_without_delay() {
    for settings in [&[][..], &[EARLY], &[LOCKING], &[LOCKING, EARLY]] {
        let cluster = Cluster::start(ClusterOptions::default());
        let moving = Moving::of(&cluster);
        let site = Site::start(&php(&cluster, settings));
        let [stays, moved, new, large, small, ended, gone, other] =
            [0, 1, 2, 3, 4, 5, 6, 7].map(|n| moving.ids[n].as_str());
        for id in [stays, moved, large, small, ended, gone] {
            visit(&site, id, if id == large { GROW } else { COUNT }, "1");
        }
        moving.begin();
        moving.move_session(moved);
        moving.move_session(gone);
        for count in 2..5 {
            let count = count.to_string();
            println!("{settings:?} {count}");
            visit(&site, stays, LOOK, &(count.parse::<u32>().unwrap() - 1).to_string());
            visit(&site, moved, COUNT, &count);
            visit(&site, stays, COUNT, &count);
            visit(&site, large, GROW, &count);
            visit(&site, small, GROW, &count);
        }
        for count in ["1", "2", "3"] {
            visit(&site, new, COUNT, count);
            visit(&site, other, GROW, count);
        }
        for id in [ended, gone] {
            visit(&site, id, END, "gone");
            visit(&site, id, LOOK, "none");
        }
        moving.end();
        for (id, count) in [(stays, "5"), (moved, "5"), (new, "4"), (large, "5"), (small, "5")] {
            visit(&site, id, COUNT, count);
        }
        visit(&site, other, COUNT, "4");
        let keys: Vec<String> =
            cluster.nodes().iter().flat_map(super::support::servers::RedisServer::keys).collect();
        assert_eq!(keys.len(), 6, "nothing is left behind: {keys:?}");
    }
}

#[test]
fn a_lock_that_is_held_moves_with_its_session() {
    let cluster =
        Cluster::start(ClusterOptions { requirepass: Some("secret".into()), ..Default::default() });
    let moving = Moving::of(&cluster);
    let id = &moving.ids[0];
    let path = cluster.save_path(&[0, 1, 2], "auth=secret");
    let php = php(&cluster, &[LOCKING]).ini("session.save_path", &path).env("ID", id);
    let dir = tempfile::TempDir::with_prefix("moving-").unwrap();
    let go = dir.path().join("go");
    let php = php.env("GO", go.to_str().unwrap());
    let count = "$_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0); session_write_close();";
    let start = "session_id(getenv('ID')); session_start(); echo \"has it\\n\";";
    php.run(&format!("{start} {count}")).ok();
    let hold = "while (!file_exists(getenv('GO'))) { usleep(5000); clearstatcache(); }";
    let holder = php.spawn(&format!("{start} {hold} {count}"));
    wait_until("the lock is held", || holder.stdout().contains("has it"));
    moving.begin();
    let waiter = php.spawn(&format!("{start} {count}"));
    let lock = format!("{}_LOCK", session_key(id));
    wait_until("the waiter has made the session move", || moving.exists_at(moving.to, &lock));
    let blocked = || {
        let clients: String = ask(cluster.node(moving.to), &["INFO", "clients"]);
        clients.contains("blocked_clients:1")
    };
    wait_until("it waits at the receiver", blocked);
    assert!(!waiter.stdout().contains("has it"), "there is one holder");
    std::fs::File::create(&go).unwrap();
    let begin = Instant::now();
    assert_eq!(holder.wait().ok(), "has it\n");
    assert_eq!(waiter.wait().ok(), "has it\n");
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    moving.end();
    let stored: String = ask(cluster.node(moving.to), &["GET", &session_key(id)]);
    assert_eq!(stored, "n|i:3;");
}

#[test]
fn where_the_giver_moves_nothing_for_us_a_locked_session_waits_for_whoever_moves_the_slot() {
    let cluster = Cluster::start(ClusterOptions {
        users: vec!["app on >secret ~* &* +@all -migrate".to_owned()],
        ..ClusterOptions::default()
    });
    let moving = Moving::of(&cluster);
    let [stays, moved, new, ..] = &moving.ids[..] else { unreachable!() };
    let path = cluster.save_path(&[0, 1, 2], "auth[]=app&auth[]=secret");
    let php = php(&cluster, &[LOCKING]).ini("session.save_path", &path);
    let site = Site::start(&php);
    for id in [stays, moved] {
        visit(&site, id, COUNT, "1");
    }
    moving.begin();
    moving.move_session(moved);
    visit(&site, moved, COUNT, "2");
    visit(&site, new, COUNT, "1");
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(SOON); // it waits meanwhile
            moving.move_session(stays);
        });
        assert_eq!(site.visit(stays, COUNT).ok(), "2");
    });
    assert!(begin.elapsed() < 3 * SOON, "{:?}", begin.elapsed());
}
