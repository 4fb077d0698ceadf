//! Seeds of a cluster that are down or wrong, and a shard that is down.

use std::time::Duration;

use super::{COUNT, assert_warning, php};
use crate::support::cluster::{Cluster, ClusterOptions, ask};
use crate::support::process::{closed_port, wait_until};
use crate::support::scripted::ScriptedServer;
use crate::support::servers::{Options, RedisServer};
use crate::support::site::Site;

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
        assert!(visit.took < Duration::from_secs(2), "{visit:?}");
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
    assert!(visit.took < Duration::from_secs(2), "{visit:?}");
}
