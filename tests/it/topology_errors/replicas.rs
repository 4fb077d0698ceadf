//! Replicas that may answer reads, or must confirm writes.

use std::time::Duration;

use super::{COUNT, READ, php};
use crate::support::cluster::{Cluster, ClusterOptions, ask, calls, session_key};
use crate::support::process::wait_until;
use crate::support::sentinel::{Sentinel, SentinelOptions};
use crate::support::site::Site;

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
