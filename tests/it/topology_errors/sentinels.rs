//! Sentinels that are down, wrong, late or lying.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{COUNT, assert_warning, php};
use crate::support::cluster::calls;
use crate::support::process::{closed_port, wait_until};
use crate::support::proxy::{Fault, RecordingProxy};
use crate::support::scripted::ScriptedServer;
use crate::support::sentinel::{SERVICE, Sentinel, SentinelOptions};
use crate::support::servers::{Options, RedisServer};
use crate::support::site::Site;

fn sentinels(addresses: &[&str]) -> Site {
    let list = addresses.join(",");
    Site::start(&php("redis", &format!("redis-sentinel://{list}/{SERVICE}?timeout=1")))
}

#[test]
fn sentinels_that_are_of_no_use_are_named_with_the_reason() {
    let plain = RedisServer::start(Options::default());
    let http = ScriptedServer::http();
    let down = format!("127.0.0.1:{}", closed_port());
    let site = sentinels(&[&down, &plain.addr(), &http.addr()]);
    let visit = site.visit("visitor", COUNT);
    println!("{}", visit.warning());
    assert_warning(&visit, &[SERVICE, &down, &plain.addr(), &http.addr()]);
}

#[test]
fn one_sentinel_that_is_right_is_enough() {
    let service = Sentinel::start(SentinelOptions { replicas: 0, ..Default::default() });
    let plain = RedisServer::start(Options::default());
    let http = ScriptedServer::http();
    let down = format!("127.0.0.1:{}", closed_port());
    let right = service.sentinels()[0].addr();
    let site = sentinels(&[&down, &plain.addr(), &http.addr(), &right]);
    assert_eq!(site.visit("visitor", COUNT).ok(), "1");
    assert_eq!(site.visit("visitor", COUNT).ok(), "2");
    assert_eq!(plain.keys(), [""; 0]);
}

#[test]
fn a_service_that_nobody_knows_is_named() {
    let service = Sentinel::start(SentinelOptions { replicas: 0, ..Default::default() });
    let path = service.save_path("", "timeout=1").replace(SERVICE, "unknown");
    let site = Site::start(&php("redis", &path));
    let visit = site.visit("visitor", COUNT);
    println!("{}", visit.warning());
    assert_warning(&visit, &["unknown", &service.sentinels()[2].addr()]);
}

#[test]
fn a_sentinel_that_names_a_replica_or_nobody_is_named_unless_another_one_is_right() {
    let service = Sentinel::start(SentinelOptions { replicas: 1, ..Default::default() });
    let right = service.sentinels()[0].addr();
    for (port, reason) in [(service.server(1).port(), "replica"), (closed_port(), "refused")] {
        let liar = ScriptedServer::sentinel_naming(port);
        let site = sentinels(&[&liar.addr()]);
        let visit = site.visit("visitor", COUNT);
        println!("{}", visit.warning());
        assert_warning(&visit, &[&liar.addr(), &port.to_string(), reason]);
        let site = sentinels(&[&liar.addr(), &right]);
        let visit = site.visit("visitor", COUNT);
        println!("worked around in {:?}", visit.took);
        visit.ok();
    }
}

#[test]
fn a_sentinel_that_names_the_primary_of_something_else_is_outvoted_and_told_of() {
    let mut service = Sentinel::start(SentinelOptions { replicas: 0, ..Default::default() });
    let elsewhere = RedisServer::start(Options::default());
    let liar = ScriptedServer::sentinel_naming(elsewhere.port());
    let dir = tempfile::TempDir::with_prefix("log-").unwrap();
    let log = dir.path().join("log");
    let path = service
        .save_path("", "timeout=1&read_timeout=0.3")
        .replace("://", &format!("://{},", liar.addr()));
    let php = php("redis", &path)
        .ini("redis_session.log", log.to_str().unwrap())
        .ini("redis_session.log_level", "warn");
    let site = Site::start(&php);
    let told = || std::fs::read_to_string(&log).unwrap_or_default();
    wait_until("the log tells who disagrees", || {
        site.visit("visitor", COUNT);
        told().contains("a sentinel disagrees") && told().contains(&liar.addr())
    });
    let before = calls(&elsewhere, "setex");
    for _ in 0..20 {
        site.visit("visitor", COUNT).ok();
    }
    // Also when there is reason to ask again.
    service.freeze(0);
    let visit = site.visit("visitor", COUNT);
    service.thaw(0);
    assert_warning(&visit, &[&service.server(0).addr()]);
    wait_until("it is back", || site.visit("visitor", COUNT).warnings.is_empty());
    assert_eq!(calls(&elsewhere, "setex"), before, "{}", told());
}

#[test]
fn a_sentinel_that_does_not_answer_holds_nobody_up() {
    let service = Sentinel::start(SentinelOptions { replicas: 0, ..Default::default() });
    let (right, other) = (service.sentinels()[0].addr(), service.sentinels()[1].addr());
    let silent = RecordingProxy::start(other);
    silent.set_fault(Fault::Stall);
    let path = format!("redis-sentinel://{right},{}/{SERVICE}?timeout=5", silent.addr());
    let site = Site::start(&php("redis", &path));
    for count in ["1", "2"] {
        let visit = site.visit("visitor", COUNT);
        assert!(visit.took < Duration::from_millis(2_500), "{visit:?}");
        assert_eq!(visit.ok(), count);
    }
}

/// For some seconds a primary that was replaced as planned takes writes, and
/// the sentinels that did not lead the failover name it: they are lost.
#[test]
fn a_sentinel_that_has_not_heard_of_a_failover_yet_is_not_believed() {
    let (old, mut new) =
        (RedisServer::start(Options::default()), RedisServer::start(Options::default()));
    let leader = ScriptedServer::sentinel(new.port(), 2, "reconf_slaves", old.port());
    let behind = || ScriptedServer::sentinel(old.port(), 1, "none", new.port());
    let others = [behind(), behind()];
    let list = format!("{},{},{}", leader.addr(), others[0].addr(), others[1].addr());
    let path = format!("redis-sentinel://{list}/{SERVICE}?timeout=1&read_timeout=0.3");
    let site = Site::start(&php("redis", &path));
    for _ in 0..20 {
        site.visit("visitor", COUNT).ok();
        std::thread::sleep(Duration::from_millis(10)); // so that all are listened to
    }
    // There is reason to ask again.
    new.pause();
    let visit = site.visit("visitor", COUNT);
    new.resume();
    assert_warning(&visit, &[&new.addr()]);
    assert_eq!(site.visit("visitor", COUNT).ok(), "21");
    assert_eq!(calls(&old, "get"), 0);
}

#[test]
fn a_change_is_heard_after_all_that_is_said_of_other_services() {
    let (old, new) =
        (RedisServer::start(Options::default()), RedisServer::start(Options::default()));
    let (before, after) = (old.port(), new.port());
    let has_told = AtomicBool::new(false);
    let sentinel = ScriptedServer::start(move |command| match command[0].to_uppercase().as_str() {
        "HELLO" => b"%1\r\n$4\r\nrole\r\n$8\r\nsentinel\r\n".to_vec(),
        "SENTINEL" => {
            let port = if has_told.load(Ordering::SeqCst) { after } else { before }.to_string();
            format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len()).into_bytes()
        }
        "SUBSCRIBE" => {
            has_told.store(true, Ordering::SeqCst);
            let say = |service: &str, port: u16| {
                let text = format!("{service} 127.0.0.1 1 127.0.0.1 {port}");
                let len = text.len();
                format!(">3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n${len}\r\n{text}\r\n")
            };
            (say("other", 2).repeat(3_000) + &say(SERVICE, after)).into_bytes()
        }
        _ => b"+OK\r\n".to_vec(),
    });
    let site = sentinels(&[&sentinel.addr()]);
    site.visit("visitor", COUNT).ok();
    std::thread::sleep(Duration::from_millis(300)); // until all that has arrived
    let reads = calls(&old, "get");
    site.visit("visitor", COUNT).ok();
    assert_eq!((calls(&old, "get"), calls(&new, "get") > 0), (reads, true));
}

#[test]
fn a_primary_that_is_being_replaced_is_left_alone() {
    let old = RedisServer::start(Options::default());
    let leader = ScriptedServer::sentinel(old.port(), 1, "wait_promotion", 0);
    let visit = sentinels(&[&leader.addr()]).visit("visitor", COUNT);
    assert_warning(&visit, &[&old.addr(), "this primary is being replaced by another server"]);
    assert_eq!(calls(&old, "get"), 0);
    // Also by a process that has just started, and asks another sentinel first,
    // while one does not answer and the one that says so is far away.
    let other = ScriptedServer::sentinel(old.port(), 1, "none", 0);
    let silent = RecordingProxy::start(other.addr());
    silent.set_fault(Fault::Stall);
    let far = RecordingProxy::start(leader.addr());
    far.set_fault(Fault::Delay(Duration::from_millis(10)));
    let site = sentinels(&[&other.addr(), &silent.addr(), &far.addr()]);
    let visit = site.visit("visitor", COUNT);
    assert_warning(&visit, &[&old.addr(), "this primary is being replaced by another server"]);
    assert_eq!(calls(&old, "setex"), 0);
}
