//! Servers hand over as planned, or are restarted one at a time.

use std::thread;
use std::time::{Duration, SystemTime};

use super::probes::{Announcement, Prober};
use super::{
    LISTENING, MAX_MOVED, alone, clustered, judge, settle, stored_by, stored_in, visitors,
    warmed_up, watched,
};
use crate::support::cluster::{Cluster, session_key};
use crate::support::sentinel::{Sentinel, SentinelOptions};

#[test]
fn a_cluster_primary_hands_over_as_planned() {
    let _alone = alone();
    let cluster = Cluster::replicated();
    let ids = cluster.spread_ids(4);
    let load = warmed_up(&clustered(&cluster, "", &[]), &ids);
    let before = cluster.errors("MOVED");
    let mut begin = SystemTime::now();
    let mut longest = Duration::ZERO;
    let mut refusals = 0;
    // Of each shard once: soon after an election a replica counts its votes
    // again and believes that it has won the next one, too.
    for id in ids.iter().take(3) {
        let key = session_key(id);
        let replica = cluster.shard_of(&key).replicas[0];
        let prober = Prober::start([cluster.node(replica)].into_iter(), &key);
        begin = begin.min(prober.begin);
        cluster.failover(&key);
        let (promotion, refused) = prober.wait();
        longest = longest.max(promotion);
        refusals += refused;
        cluster.await_ready();
        settle(&load);
    }
    let moved = cluster.errors("MOVED") - before - refusals;
    let report = load.stop(stored_in(&cluster));
    println!("MOVED: {moved}");
    judge("cluster, 3 x CLUSTER FAILOVER", &report, begin, longest, false);
    assert!((1..MAX_MOVED).contains(&moved), "{moved}");
}

#[test]
fn a_sentinel_s_primary_hands_over_as_planned() {
    let _alone = alone();
    for resp2 in [false, true] {
        let service = Sentinel::start(SentinelOptions { resp2, ..Default::default() });
        let load = warmed_up(&watched(&service, "", &[]), &visitors(4));
        let replicas = service.replicas();
        let prober = Prober::start(replicas.iter().map(|&n| service.server(n)), "any");
        let (begin, announcement) = (prober.begin, Announcement::await_at(&service));
        service.failover();
        let (promotion, _) = prober.wait();
        let promotion = promotion.max(announcement.wait());
        settle(&load);
        let report = load.stop(stored_by(&service));
        judge("sentinel, SENTINEL FAILOVER", &report, begin, promotion, false);
    }
}

#[test]
fn every_node_of_a_cluster_is_restarted_in_turn() {
    let _alone = alone();
    let mut cluster = Cluster::replicated();
    let ids = cluster.spread_ids(6);
    let load = warmed_up(&clustered(&cluster, "", &[]), &ids);
    let begin = SystemTime::now();
    for id in ids.iter().take(3) {
        let key = session_key(id);
        let replica = cluster.shard_of(&key).replicas[0];
        cluster.restart(replica);
        let (old, _) = cluster.failover(&key);
        cluster.await_ready();
        cluster.restart(old);
        settle(&load);
    }
    let report = load.stop(stored_in(&cluster));
    judge("cluster, rolling restart", &report, begin, Duration::ZERO, false);
}

#[test]
fn every_server_and_sentinel_is_restarted_in_turn() {
    let _alone = alone();
    let mut service = Sentinel::start(SentinelOptions::default());
    let load = warmed_up(&watched(&service, "", &[]), &visitors(4));
    let begin = SystemTime::now();
    for number in 0..3 {
        service.restart_sentinel(number);
    }
    thread::sleep(LISTENING);
    for replica in service.replicas() {
        service.restart(replica);
    }
    let (old, _) = service.failover();
    service.await_ready();
    service.restart(old);
    settle(&load);
    let report = load.stop(stored_by(&service));
    judge("sentinel, rolling restart", &report, begin, Duration::from_secs(1), false);
}
