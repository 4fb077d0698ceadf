//! Seeds and sentinels that are down, wrong or lying; parts of a cluster that
//! are down; replicas that may answer reads, or must confirm writes.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::cluster::{Cluster, ClusterOptions, ask, calls, session_key};
use crate::support::php::Php;
use crate::support::process::{closed_port, wait_until};
use crate::support::proxy::{Fault, RecordingProxy};
use crate::support::scripted::ScriptedServer;
use crate::support::sentinel::{SERVICE, Sentinel, SentinelOptions};
use crate::support::servers::{Options, RedisServer};
use crate::support::site::{Site, Visit};
use servers::certs::Certs;

const COUNT: &str = "session_start(); echo $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);";
const READ: &str = "session_start(['read_and_close' => true]); echo $_SESSION['n'] ?? 'none';";

fn php(handler: &str, save_path: &str) -> Php {
    Php::new()
        .ini("session.save_handler", handler)
        .ini("session.save_path", save_path)
        .ini("redis_session.failover_timeout", "1")
}

fn sentinels(addresses: &[&str]) -> Site {
    let list = addresses.join(",");
    Site::start(&php("redis", &format!("redis-sentinel://{list}/{SERVICE}?timeout=1")))
}

#[track_caller]
fn assert_warning(visit: &Visit, words: &[&str]) {
    let warning = visit.warning();
    assert!(warning.starts_with("session_start(): Redis connection not available: "), "{warning}");
    for word in words {
        assert!(warning.contains(word), "{word} is missing: {warning}");
    }
    assert!(visit.took < Duration::from_millis(2_500), "{:?}", visit.took);
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
fn a_change_is_heard_behind_all_that_is_said_of_other_services() {
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

#[test]
fn seeds_that_are_of_no_use_are_named_with_the_reason() {
    let plain = RedisServer::start(Options::default());
    let http = ScriptedServer::http();
    let down = format!("127.0.0.1:{}", closed_port());
    let path = format!("seed[]={down}&seed[]={}&seed[]={}&timeout=1", plain.addr(), http.addr());
    let visit = Site::start(&php("rediscluster", &path)).visit("visitor", COUNT);
    println!("{}", visit.warning());
    assert_warning(&visit, &[&down, &plain.addr(), &http.addr()]);
}

#[test]
fn one_seed_that_is_right_is_enough() {
    let cluster = Cluster::start(ClusterOptions::default());
    let plain = RedisServer::start(Options::default());
    let http = ScriptedServer::http();
    let down = format!("127.0.0.1:{}", closed_port());
    let path = format!(
        "seed[]={down}&seed[]={}&seed[]={}&{}",
        plain.addr(),
        http.addr(),
        cluster.save_path(&[2], "timeout=1")
    );
    let site = Site::start(&php("rediscluster", &path));
    for id in cluster.spread_ids(6) {
        assert_eq!(site.visit(&id, COUNT).ok(), "1");
        assert_eq!(site.visit(&id, COUNT).ok(), "2");
    }
}

#[test]
fn a_seed_with_a_wrong_map_or_a_wrong_redirection_is_named() {
    let nobody = closed_port();
    let says_moved = format!("-MOVED 1 127.0.0.1:{nobody}\r\n").into_bytes();
    let itself: std::sync::Arc<std::sync::OnceLock<u16>> = std::sync::Arc::default();
    for redirects in [false, true] {
        let (itself_, says_moved) = (itself.clone(), says_moved.clone());
        let liar = ScriptedServer::start(move |command| match command[0].to_uppercase().as_str() {
            "HELLO" => b"%1\r\n$4\r\nrole\r\n$6\r\nmaster\r\n".to_vec(),
            "CLUSTER" => {
                let port = if redirects { itself_.get().copied().unwrap_or(0) } else { nobody };
                format!(
                    "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$1\r\na\r\n"
                )
                .into_bytes()
            }
            "GET" => says_moved.clone(),
            _ => b"+OK\r\n".to_vec(),
        });
        if redirects {
            itself.set(liar.port()).unwrap();
        }
        let path = format!("seed[]={}&timeout=1", liar.addr());
        let visit = Site::start(&php("rediscluster", &path)).visit("visitor", COUNT);
        println!("{}", visit.warning());
        if redirects {
            // The last attempt of a second is at either of the two.
            let warning = visit.warning();
            assert!(warning.contains(&liar.addr()) && warning.contains(&nobody.to_string()));
        } else {
            assert_warning(
                &visit,
                &[&format!("says {}", liar.addr()), &nobody.to_string(), "refused"],
            );
        }
    }
}

#[test]
fn the_cluster_handler_without_a_cluster_says_so() {
    let server = RedisServer::start(Options::default());
    for path in [format!("tcp://{}", server.addr()), "timeout=2".into(), "seed[]=".into()] {
        let visit = Site::start(&php("rediscluster", &path)).visit("visitor", COUNT);
        println!("{path}: {:?}", visit.warnings);
        assert!(visit.warnings.iter().any(|w| w.contains("No valid seeds detected")), "{visit:?}");
    }
}

#[test]
fn a_shard_that_is_down_leaves_the_others_alone() {
    let mut cluster = Cluster::start(ClusterOptions::default());
    let ids = cluster.spread_ids(3);
    let site = Site::start(&php("rediscluster", &cluster.save_path(&[0, 1, 2], "timeout=1")));
    for id in &ids {
        site.visit(id, COUNT).ok();
    }
    let address = cluster.node(0).addr();
    cluster.kill(0);
    for _ in 0..2 {
        let visit = site.visit(&ids[0], COUNT);
        println!("{:?} {}", visit.took, visit.warnings.join("\n"));
        assert!(visit.warnings[0].contains(&address), "{visit:?}");
        assert!(visit.took < Duration::from_millis(2_000), "{visit:?}");
        for id in &ids[1..] {
            let visit = site.visit(id, COUNT);
            assert!(visit.took < Duration::from_millis(500), "{visit:?}");
            visit.ok();
        }
    }
    // The others know by now.
    wait_until("the shard is given up", || {
        ask::<String>(cluster.node(1), &["CLUSTER", "INFO"]).contains("cluster_slots_fail:5461")
    });
    let visit = site.visit(&ids[0], COUNT);
    println!("{:?} {}", visit.took, visit.warnings.join("\n"));
    assert!(visit.took < Duration::from_millis(2_000), "{visit:?}");
}

#[test]
fn replicas_answer_reads_where_the_save_path_says_so() {
    for (failover, from_replicas) in [("none", false), ("error", false), ("distribute", true)] {
        let cluster = Cluster::replicated();
        let id = &cluster.spread_ids(1)[0];
        let query = format!("timeout=1&failover={failover}");
        let site = Site::start(&php("rediscluster", &cluster.save_path(&[0, 1, 2], &query)));
        site.visit(id, COUNT).ok();
        let replica = cluster.shard_of(&session_key(id)).replicas[0];
        let key = session_key(id);
        wait_until("it is replicated", || {
            !ask::<Vec<String>>(cluster.node(replica), &["KEYS", &key]).is_empty()
        });
        for _ in 0..40 {
            assert_eq!(site.visit(id, READ).ok(), "1");
        }
        let reads = calls(cluster.node(replica), "get");
        println!("failover={failover}: a replica answered {reads} of 40 reads");
        assert_eq!(reads > 0, from_replicas);
        assert!(reads < 40);
    }
}

#[test]
fn a_replica_answers_a_read_when_the_primary_is_down_if_it_may() {
    // No other primary is there to vote: the replica stays one.
    for (failover, answered) in [("none", false), ("error", true), ("distribute", true)] {
        let timeout = Some(Duration::from_secs(60));
        let options = ClusterOptions { replicas: 1, node_timeout: timeout, ..Default::default() };
        let mut cluster = Cluster::start(options);
        let id = &cluster.spread_ids(1)[0];
        let query = format!("timeout=1&failover={failover}");
        let site = Site::start(&php("rediscluster", &cluster.save_path(&[0, 1, 2], &query)));
        site.visit(id, COUNT).ok();
        let key = session_key(id);
        let replica = cluster.shard_of(&key).replicas[0];
        wait_until("it is replicated", || {
            !ask::<Vec<String>>(cluster.node(replica), &["KEYS", &key]).is_empty()
        });
        cluster.kill_primary_of(&key);
        let visit = site.visit(id, READ);
        println!("failover={failover}: {:?} {:?}", visit.took, visit.warnings);
        assert_eq!(visit.body == "1", answered, "{visit:?}");
        let visit = site.visit(id, COUNT);
        println!("failover={failover}, read and write: {:?} {:?}", visit.took, visit.warnings);
        assert!(!visit.warnings.is_empty(), "nobody can write");
    }
}

#[test]
fn a_write_that_no_replica_confirms_is_a_warning() {
    let mut service = Sentinel::start(SentinelOptions { replicas: 1, ..Default::default() });
    let php = php("redis", &service.save_path("", "read_timeout=1"));
    for locking in ["0", "1"] {
        let php = php.clone().ini("redis_session.wait_replicas", "1");
        let site = Site::start(&php.ini("redis.session.locking_enabled", locking));
        let write = "session_start(); $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);
            var_dump(session_write_close());";
        assert_eq!(site.visit("visitor", write).ok(), "bool(true)\n");
        service.freeze(1);
        let visit = site.visit("visitor", write);
        println!("{:?} {:?}", visit.took, visit.warnings);
        assert!(visit.warning().contains("0 of 1 replicas confirmed"), "{visit:?}");
        service.thaw(1);
        wait_until("the replica is back", || site.visit("visitor", write).warnings.is_empty());
    }
}

/// TLS and a user of the servers' own: write, read, lock.
#[test]
fn tls_and_a_user_work_in_a_cluster_and_behind_sentinels() {
    let users = vec!["sessions on >p@ss~w ~* &* +@all".to_owned()];
    let options = ClusterOptions {
        replicas: 1,
        tls: true,
        requirepass: Some("only-default".into()),
        users: users.clone(),
        ..Default::default()
    };
    let cluster = Cluster::start(options);
    let login = "auth[]=sessions&auth[]=p%40ss~w";
    let cafile = |certs: &Certs| format!("stream[cafile]={}", certs.ca.display());
    let query = format!("{login}&{}", cafile(cluster.certs()));
    let path = cluster.save_path(&[0, 1, 2], &query);
    smoke(&php("rediscluster", &path), &cluster.spread_ids(3));

    let options = SentinelOptions {
        replicas: 1,
        tls: true,
        requirepass: Some("only-default".into()),
        users,
        sentinel_password: Some("watch".into()),
        ..Default::default()
    };
    let service = Sentinel::start(options);
    let query = format!("sentinel_auth=watch&{}", cafile(service.certs()));
    let path = service.save_path("sessions:p%40ss~w@", &query);
    smoke(&php("redis", &path), &["visitor".to_owned()]);
}

#[track_caller]
fn smoke(php: &Php, ids: &[String]) {
    for locking in ["0", "1"] {
        let site = Site::start(&php.clone().ini("redis.session.locking_enabled", locking));
        for id in ids {
            let first: u32 = site.visit(id, COUNT).ok().parse().unwrap();
            assert_eq!(site.visit(id, COUNT).ok(), (first + 1).to_string());
            assert_eq!(site.visit(id, READ).ok(), (first + 1).to_string());
        }
    }
}
