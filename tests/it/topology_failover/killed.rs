//! A primary is killed, and a replica takes its place.

use std::time::{Duration, SystemTime};

use super::probes::{Announcement, Prober};
use super::{
    MAX_MOVED, WAIT_ONE, WARM_UP, alone, clustered, judge, settle, stored_by, stored_in, visitors,
    warmed_up, watched,
};
use crate::support::cluster::{Cluster, ClusterOptions, session_key};
use crate::support::load::{Load, Report};
use crate::support::process::wait_until;
use crate::support::sentinel::{Sentinel, SentinelOptions};

/// Workers that share two sessions, and how much longer than the promotion one
/// of their requests may take; half of it is the machine's.
const SHARING: usize = 8;
const SHARED_MARGIN: Duration = Duration::from_secs(1);

#[test]
fn a_cluster_primary_is_killed() {
    let _alone = alone();
    // A second replica confirms the writes to the first, once that is primary.
    for (settings, replicas) in [(&[][..], 1), (&[WAIT_ONE], 2)] {
        let mut cluster = Cluster::start(ClusterOptions { replicas, ..Default::default() });
        let ids = cluster.spread_ids(4);
        let load = warmed_up(&clustered(&cluster, "", settings), &ids);
        let key = session_key(&ids[0]);
        let shard = cluster.shard_of(&key);
        let victim = shard.primary;
        let before = moved(&cluster, victim);
        let prober = Prober::start(shard.replicas.iter().map(|&n| cluster.node(n)), &key);
        let begin = prober.begin;
        cluster.kill(victim);
        let (promotion, refused) = prober.wait();
        settle(&load);
        let moved = moved(&cluster, victim) - before - refused;
        cluster.restart(victim);
        settle(&load);
        let report = load.stop(stored_in(&cluster));
        println!("MOVED: {moved}");
        let what = format!("cluster, kill -9, {settings:?}");
        judge(&what, &report, begin, promotion, settings.is_empty());
        assert!(moved < MAX_MOVED, "{moved}");
    }
}

fn moved(cluster: &Cluster, but: usize) -> usize {
    let nodes = cluster.nodes().iter().enumerate().filter(|(number, _)| *number != but);
    nodes.map(|(_, node)| crate::support::cluster::errors(node, "MOVED")).sum()
}

#[test]
fn a_sentinel_s_primary_is_killed() {
    let _alone = alone();
    for settings in [&[][..], &[WAIT_ONE]] {
        let mut service = Sentinel::start(SentinelOptions::default());
        let ids = visitors(4);
        let load = warmed_up(&watched(&service, "", settings), &ids);
        let replicas = service.replicas();
        let prober = Prober::start(replicas.iter().map(|&n| service.server(n)), "any");
        let (begin, announcement) = (prober.begin, Announcement::await_at(&service));
        let victim = service.kill_primary();
        let (promotion, _) = prober.wait();
        let promotion = promotion.max(announcement.wait());
        settle(&load);
        service.restart(victim);
        settle(&load);
        let report = load.stop(stored_by(&service));
        let what = format!("sentinel, kill -9, {settings:?}");
        judge(&what, &report, begin, promotion, settings.is_empty());
    }
}

/// More requests than sessions: whoever waits must not wait for a lock that the
/// failed primary was told the end of, and its successor was not.
#[test]
fn a_primary_is_killed_while_visitors_share_their_sessions() {
    let _alone = alone();
    for round in 0..3 {
        let mut service = Sentinel::start(SentinelOptions::default());
        let load = Load::start(&watched(&service, "", &[]), SHARING, &visitors(2));
        wait_until("the workers are warm", || load.has_done(WARM_UP));
        let replicas = service.replicas();
        let prober = Prober::start(replicas.iter().map(|&n| service.server(n)), "any");
        let (begin, announcement) = (prober.begin, Announcement::await_at(&service));
        service.kill_primary();
        let promotion = prober.wait().0.max(announcement.wait());
        settle(&load);
        let report = load.stop(stored_by(&service));
        judge(&format!("sentinel, shared, round {round}"), &report, begin, promotion, true);
        assert_shared(&report, begin, promotion);
    }
    for round in 0..3 {
        let mut cluster = Cluster::replicated();
        let id = cluster.spread_ids(1).remove(0);
        let key = session_key(&id);
        let ids = [format!("{{{key}}}-one"), format!("{{{key}}}-two")];
        let key = session_key(&ids[0]);
        let load = Load::start(&clustered(&cluster, "", &[]), SHARING, &ids);
        wait_until("the workers are warm", || load.has_done(WARM_UP));
        let shard = cluster.shard_of(&key);
        let prober = Prober::start(shard.replicas.iter().map(|&n| cluster.node(n)), &key);
        let begin = prober.begin;
        cluster.kill(shard.primary);
        let (promotion, _) = prober.wait();
        settle(&load);
        let report = load.stop(stored_in(&cluster));
        judge(&format!("cluster, shared, round {round}"), &report, begin, promotion, true);
        assert_shared(&report, begin, promotion);
    }
}

/// No request waited for more than the promotion, and nothing is gone but what no
/// replica was told in time.
#[track_caller]
fn assert_shared(report: &Report, begin: SystemTime, promotion: Duration) {
    let after = report.slowest(begin).saturating_sub(promotion);
    assert!(after < SHARED_MARGIN, "a request waited {after:?} longer than the promotion took");
    assert!(report.lost <= SHARING, "{report}");
}
