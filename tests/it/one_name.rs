//! A primary behind one name: a proxy, a virtual address, a service. When it is
//! replaced, the old one becomes a replica and goes on serving those who are
//! connected; only whoever connects anew comes to its successor.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::thread;
use std::time::Duration;

use crate::support::cluster::{ask, await_replicas, errors};
use crate::support::locking::{self, scene};
use crate::support::process::wait_until;
use crate::support::proxy::RecordingProxy;
use crate::support::scripted::ScriptedServer;
use crate::support::servers::{Options, RedisServer};
use crate::support::site::{Site, php};

const COUNT: &str = "session_start(); echo $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);";
const LOOK: &str = "session_start(['read_and_close' => true]); echo $_SESSION['n'] ?? 'none';";

/// Two servers, and the name that leads to the first.
struct Named {
    name: RecordingProxy,
    old: RedisServer,
    new: RedisServer,
}

impl Named {
    fn start() -> Self {
        // Replication begins at once.
        let config = vec!["repl-diskless-sync-delay 0".to_owned()];
        let options = Options { config, ..Options::default() };
        let (old, new) = (RedisServer::start(options.clone()), RedisServer::start(options));
        let _: () = ask(&new, &["REPLICAOF", "127.0.0.1", &old.port().to_string()]);
        await_replicas(&old, 1);
        Self { name: RecordingProxy::start(old.addr()), old, new }
    }

    /// The other one is the primary now, and the name leads there. The old one
    /// is its replica; nobody is disconnected.
    fn change_places(&mut self) {
        await_replicas(&self.old, 1);
        let _: () = ask(&self.new, &["REPLICAOF", "NO", "ONE"]);
        self.name.retarget(self.new.addr());
        let port = self.new.port().to_string();
        let _: () = ask(&self.old, &["REPLICAOF", "127.0.0.1", &port]);
        std::mem::swap(&mut self.old, &mut self.new);
    }

    fn path(&self) -> String {
        format!("tcp://{}", self.name.addr())
    }
}

fn site(path: &str, locking: &str) -> Site {
    Site::start(&php(path).ini("redis.session.locking_enabled", locking))
}

#[test]
fn the_first_request_after_the_change_is_served_by_the_new_primary() {
    for locking in ["0", "1"] {
        let mut named = Named::start();
        let site = site(&named.path(), locking);
        assert_eq!(site.visit("visitor", COUNT).ok(), "1");
        named.change_places();
        assert_eq!(site.visit("visitor", COUNT).ok(), "2", "locking: {locking}");
        assert_eq!(site.visit("visitor", COUNT).ok(), "3");
        named.change_places();
        assert_eq!(site.visit("visitor", COUNT).ok(), "4", "and back again");
        let stored: String = ask(&named.old, &["GET", &locking::key("visitor")]);
        assert_eq!(stored, "n|i:4;");
        assert_eq!(ask::<usize>(&named.old, &["EXISTS", &locking::lock_key("visitor")]), 0);
    }
}

#[test]
fn one_of_several_weighted_servers_is_replaced() {
    let mut named = Named::start();
    let other = RedisServer::start(Options::default());
    let site = site(&format!("{}?weight=1, tcp://{}?weight=1", named.path(), other.addr()), "1");
    let ids: Vec<_> = (0..8).map(|n| format!("{n}-visitor")).collect();
    for id in &ids {
        assert_eq!(site.visit(id, COUNT).ok(), "1");
    }
    assert!(!named.old.keys().is_empty() && !other.keys().is_empty());
    named.change_places();
    for id in &ids {
        assert_eq!(site.visit(id, COUNT).ok(), "2");
    }
}

#[test]
fn a_request_in_the_middle_of_its_page_writes_to_the_new_primary() {
    for locking in ["0", "1"] {
        let mut named = Named::start();
        let server = RedisServer::start(Options::default());
        let php =
            locking::php(&server, &named.path()).ini("redis.session.locking_enabled", locking);
        let page = locking::hold(&server, &php);
        named.change_places();
        locking::tell(&server, "go");
        locking::assert_quiet(&page.wait());
        let stored: String = ask(&named.old, &["GET", &locking::key(locking::SID)]);
        assert_eq!(stored, "n|i:1;", "locking: {locking}");
    }
}

#[test]
fn a_request_that_waits_goes_on_waiting_at_the_new_primary() {
    let mut named = Named::start();
    let server = RedisServer::start(Options::default());
    let php = locking::php(&server, &named.path());
    let holder = locking::hold(&server, &php);
    let waiter = locking::spawn(&php, &format!("{} count_up();", locking::START));
    wait_until("it waits", || locking::waiting(&named.old) == 1);
    named.change_places();
    locking::tell(&server, "go");
    locking::assert_quiet(&holder.wait());
    locking::assert_quiet(&waiter.wait());
    let stored: String = ask(&named.old, &["GET", &locking::key(locking::SID)]);
    assert_eq!(stored, "n|i:2;");
}

#[test]
fn a_replica_without_its_primary_is_left_too() {
    let mut named = Named::start();
    let site = site(&named.path(), "0");
    assert_eq!(site.visit("visitor", COUNT).ok(), "1");
    named.change_places();
    // From now on it answers MASTERDOWN to reads.
    let _: () = ask(&named.new, &["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    let _: () = ask(&named.new, &["REPLICAOF", "127.0.0.1", "1"]);
    assert_eq!(site.visit("visitor", LOOK).ok(), "1");
    assert_eq!(errors(&named.new, "MASTERDOWN"), 1);
}

#[test]
fn a_server_that_was_restarted_and_still_loads_is_looked_up_again() {
    let server = RedisServer::start(Options::default());
    let loading = ScriptedServer::start(|command| match command[0].as_str() {
        "GET" => b"-LOADING Redis is loading the dataset in memory\r\n".to_vec(),
        "HELLO" => b"%1\r\n$4\r\nrole\r\n$6\r\nmaster\r\n".to_vec(),
        _ => b"+OK\r\n".to_vec(),
    });
    let name = RecordingProxy::start(loading.addr());
    let site = site(&format!("tcp://{}", name.addr()), "0");
    let warning = site.visit("visitor", COUNT).warnings.first().cloned().unwrap();
    assert!(warning.contains("LOADING"), "{warning}");
    name.retarget(server.addr());
    assert_eq!(site.visit("visitor", COUNT).ok(), "1");
}

#[test]
fn where_the_name_still_leads_to_a_replica_the_answer_stands_after_one_more_attempt() {
    let named = Named::start();
    let site = site(&format!("tcp://{}", named.new.addr()), "1");
    for attempts in [2, 4] {
        let visit = site.visit("visitor", COUNT);
        assert!(visit.warnings[0].contains("READONLY"), "{visit:?}");
        assert!(visit.took < Duration::from_secs(1), "{visit:?}");
        assert_eq!(errors(&named.new, "READONLY"), attempts);
    }
}

#[test]
fn connections_that_other_threads_keep_are_left_with_the_first_that_fails() {
    let mut named = Named::start();
    let backend = scene::backend(&named.name.addr());
    let location = scene::location(&backend, "visitor");
    // Three at the same time make three connections, which are then kept.
    let wait: [&[u8]; 3] = [b"BLPOP", b"nobody", b"0.2"];
    let waits: Vec<_> =
        (0..3).map(|_| backend.send(&location, Duration::ZERO, &wait).unwrap()).collect();
    let late = backend.send(&location, Duration::ZERO, &[b"PING"]).unwrap();
    let threads = waits.into_iter().map(|mut wait| {
        thread::spawn(move || while wait.receive(scene::SECOND).unwrap().is_none() {})
    });
    threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(named.name.open_connections(), 4);
    named.change_places();
    let store = || {
        backend.run(
            &location,
            redis_session::topology::ReadRouting::Primary,
            Duration::ZERO,
            |connection| connection.call(&[b"SET", b"some key", b"1"]),
        )
    };
    store().unwrap();
    let mut late = late;
    assert!(late.receive(scene::SECOND).unwrap().is_some());
    drop(late); // given back only now
    for _ in 0..4 {
        store().unwrap();
    }
    assert_eq!(errors(&named.new, "READONLY"), 1);
}
