//! A primary fails that has given a lock and not told its replica of it: the
//! request that has it writes all the same, but only if nobody came between.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use std::fs::File;

use crate::support::cluster::ask;
use crate::support::php::{Php, Running};
use crate::support::process::wait_until;
use crate::support::sentinel::{Sentinel, SentinelOptions};
use crate::support::servers::RedisServer;
use crate::support::site::warnings;

const HOLD: &str = "session_id(getenv('ID')); session_start(); echo \"held\\n\";
    while (!file_exists(getenv('GO'))) { usleep(5000); clearstatcache(); }
    $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0); session_write_close();";
const STORED: &str = "n|i:1;";
const REFUSED: [&str; 2] =
    ["Session lock expired", "Unable to write session: session lock not held"];

fn key(id: &str) -> String {
    format!("PHPREDIS_SESSION:{id}")
}

fn get(server: &RedisServer, id: &str) -> Option<String> {
    ask(server, &["GET", &key(id)])
}

fn hold(php: &Php, id: &str) -> Running {
    let holder = php.clone().env("ID", id).spawn(HOLD);
    wait_until("the lock is held", || holder.stdout().contains("held"));
    holder
}

/// As a replica that was not told of the lock in time has it.
#[track_caller]
fn lose_lock(server: &RedisServer, id: &str) {
    assert_eq!(ask::<usize>(server, &["DEL", &format!("{}_LOCK", key(id))]), 1, "{id}");
}

#[track_caller]
fn assert_refused(holder: Running) {
    let output = holder.wait().ok();
    let told = warnings(&output);
    assert!(REFUSED.iter().all(|text| told.iter().any(|told| told.contains(text))), "{output}");
}

#[test]
fn a_lock_that_the_new_primary_does_not_have_is_taken_again_where_nobody_came_between() {
    let mut service = Sentinel::start(SentinelOptions::default());
    let dir = tempfile::TempDir::with_prefix("lost-lock-").unwrap();
    let go = dir.path().join("go");
    let php = Php::new()
        .ini("session.save_handler", "redis")
        .ini("session.save_path", &service.save_path("", ""))
        .ini("redis.session.locking_enabled", "1")
        .env("GO", go.to_str().unwrap());
    let old = service.server(service.primary());
    for id in ["known", "changed", "removed", "taken"] {
        let _: () = ask(old, &["SETEX", &key(id), "1440", STORED]);
    }
    let ids = ["known", "new", "changed", "removed", "appeared", "taken"];
    let holders = ids.map(|id| hold(&php, id));
    wait_until("the replicas have it all", || {
        ask::<usize>(service.server(service.primary()), &["WAIT", "2", "100"]) == 2
    });
    let old = service.kill_primary();
    wait_until("there is a new primary", || service.primary() != old);
    let primary = service.server(service.primary());
    for id in ids {
        lose_lock(primary, id);
    }
    for id in ["changed", "appeared"] {
        let _: () = ask(primary, &["SETEX", &key(id), "1440", "n|i:7;"]);
    }
    let _: () = ask(primary, &["DEL", &key("removed")]);
    let taken = format!("{}_LOCK", key("taken"));
    let _: () = ask(primary, &["SET", &taken, "somebody else's", "PX", "60000"]);

    File::create(&go).unwrap();
    let [known, new, changed, removed, appeared, taken_] = holders;
    for (holder, id, data) in [(known, "known", "n|i:2;"), (new, "new", "n|i:1;")] {
        let output = holder.wait().ok();
        assert_eq!(warnings(&output), [""; 0], "{id}: {output}");
        assert_eq!(get(primary, id).as_deref(), Some(data), "{id}");
        let lock = format!("{}_LOCK", key(id));
        assert_eq!(ask::<usize>(primary, &["EXISTS", &lock]), 0, "{id}: the lock is released");
    }
    for holder in [changed, removed, appeared, taken_] {
        assert_refused(holder);
    }
    assert_eq!(get(primary, "changed").as_deref(), Some("n|i:7;"));
    assert_eq!(get(primary, "removed"), None);
    assert_eq!(get(primary, "appeared").as_deref(), Some("n|i:7;"));
    assert_eq!(get(primary, "taken").as_deref(), Some(STORED));
    assert_eq!(ask::<String>(primary, &["GET", &taken]), "somebody else's");
}
