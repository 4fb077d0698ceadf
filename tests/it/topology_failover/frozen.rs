//! A primary stops answering, is replaced, and comes back.

use std::time::Duration;

use super::probes::{Announcement, Prober};
use super::{alone, clustered, judge, settle, stored_by, stored_in, visitors, warmed_up, watched};
use crate::support::cluster::{Cluster, session_key};
use crate::support::process::poll;
use crate::support::sentinel::{Sentinel, SentinelOptions};

#[test]
fn a_cluster_primary_freezes() {
    let _alone = alone();
    let mut cluster = Cluster::replicated();
    let ids = cluster.spread_ids(4);
    let load = warmed_up(&clustered(&cluster, "timeout=0.5&read_timeout=0.5", &[]), &ids);
    let key = session_key(&ids[0]);
    let shard = cluster.shard_of(&key);
    let prober = Prober::start([cluster.node(shard.replicas[0])].into_iter(), &key);
    let begin = prober.begin;
    cluster.freeze(shard.primary);
    let (promotion, _) = prober.wait();
    settle(&load);
    cluster.thaw(shard.primary);
    cluster.await_ready();
    settle(&load);
    let report = load.stop(stored_in(&cluster));
    judge("cluster, SIGSTOP", &report, begin, promotion, true);
}

#[test]
fn a_sentinel_s_primary_freezes() {
    let _alone = alone();
    let mut service = Sentinel::start(SentinelOptions::default());
    let load = warmed_up(&watched(&service, "timeout=0.5&read_timeout=0.5", &[]), &visitors(4));
    let (primary, replicas) = (service.primary(), service.replicas());
    let prober = Prober::start(replicas.iter().map(|&n| service.server(n)), "any");
    let (begin, announcement) = (prober.begin, Announcement::await_at(&service));
    service.freeze(primary);
    let (promotion, _) = prober.wait();
    let promotion = promotion.max(announcement.wait());
    settle(&load);
    service.thaw(primary);
    settle(&load);
    wait_until_replica(&service, primary);
    settle(&load);
    let report = load.stop(stored_by(&service));
    judge("sentinel, SIGSTOP", &report, begin, promotion, true);
}

/// Sentinels take some ten seconds to tell a server that came back its role.
#[track_caller]
fn wait_until_replica(service: &Sentinel, number: usize) {
    let demoted = || !crate::support::cluster::is_primary(service.server(number));
    assert!(poll(Duration::from_secs(30), demoted), "the old primary was not demoted");
}
