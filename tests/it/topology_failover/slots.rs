//! Slots with sessions in use move to another node of the cluster.

use std::time::{Duration, Instant, SystemTime};

use super::{MAX_MOVED, alone, clustered, judge, settle, stored_in, warmed_up};
use crate::support::cluster::{Cluster, ClusterOptions, session_key};
use crate::support::site::Site;

#[test]
fn slots_of_sessions_in_use_move_to_another_node() {
    let _alone = alone();
    let cluster = Cluster::replicated();
    let ids = cluster.spread_ids(4);
    let load = warmed_up(&clustered(&cluster, "", &[]), &ids);
    let (moved, ask_) = (cluster.errors("MOVED"), cluster.errors("ASK"));
    let begin = SystemTime::now();
    let mut longest = Duration::ZERO;
    for turn in 0..4 {
        let slot = cluster.slot_of(&session_key(&ids[turn % 2]));
        let receiver = (cluster.primary_of(&session_key(&ids[turn % 2])) + 1) % 3;
        let start = Instant::now();
        cluster.migrate_slot(slot, receiver, Duration::from_millis(200));
        longest = longest.max(start.elapsed());
        settle(&load);
    }
    let moved = cluster.errors("MOVED") - moved;
    let asked = cluster.errors("ASK") - ask_;
    let report = load.stop(stored_in(&cluster));
    println!("MOVED: {moved}, ASK: {asked}");
    judge("cluster, 4 slots with locked sessions move", &report, begin, longest, false);
    assert!((1..MAX_MOVED).contains(&moved), "{moved}");
    assert!(asked > 0);
}

#[test]
fn a_session_between_two_nodes_is_read_and_written_without_delay() {
    let _alone = alone();
    let cluster = Cluster::start(ClusterOptions::default());
    let unlocked = [("redis.session.locking_enabled", "0")];
    let site = Site::start(&clustered(&cluster, "", &unlocked));
    let id = &cluster.spread_ids(1)[0];
    let count = "session_start(); echo $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);";
    assert_eq!(site.visit(id, count).ok(), "1");
    let key = session_key(id);
    let slot = cluster.slot_of(&key);
    let from = cluster.begin_migration(slot, 1);
    assert_eq!(site.visit(id, count).ok(), "2", "it is still where it was");
    assert_eq!(cluster.move_keys(slot, from, 1), 1);
    let before = cluster.errors("ASK");
    let visit = site.visit(id, count);
    assert!(visit.took < Duration::from_millis(500), "{visit:?}");
    assert_eq!(visit.ok(), "3", "it is read and written where it is now");
    // Data and time to live, which are asked for together, and the write.
    assert_eq!(cluster.errors("ASK") - before, 3);
    assert_eq!(cluster.errors("MOVED"), 0);
    cluster.end_migration(slot, from, 1);
    assert_eq!(site.visit(id, count).ok(), "4");
    let moved = cluster.errors("MOVED");
    assert_eq!(moved, 2, "once, for both, and then the map is right");
    assert_eq!(site.visit(id, count).ok(), "5");
    assert_eq!(cluster.errors("MOVED"), moved);
}
