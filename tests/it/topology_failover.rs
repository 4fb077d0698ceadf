//! Visitors keep coming while servers change places: no request fails while
//! the failover takes less than its budget, and no acknowledged write is lost.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crate::support::cluster::{Cluster, ClusterOptions, ask, session_key};
use crate::support::load::{Load, Report};
use crate::support::php::Php;
use crate::support::process::{poll, wait_until};
use crate::support::sentinel::{SERVICE, Sentinel, SentinelOptions};
use crate::support::servers::RedisServer;
use crate::support::site::Site;

const WORKERS: usize = 4;
/// Workers that share two sessions, and how much longer than the promotion one
/// of their requests may take; half of it is the machine's.
const SHARING: usize = 8;
const SHARED_MARGIN: Duration = Duration::from_millis(1_000);
/// Requests of each worker before anything happens.
const WARM_UP: usize = 50;
/// How much longer than the change of servers a request may take: pauses
/// between attempts, other requests that hold the session, a busy machine.
const MARGIN: Duration = Duration::from_secs(1);
/// Until a sentinel that was restarted is listened to again, at the latest.
const LISTENING: Duration = Duration::from_secs(4);
/// MOVED answers to all workers during one change.
const MAX_MOVED: usize = 1_000;
const WAIT_ONE: (&str, &str) = ("redis_session.wait_replicas", "1");

/// One at a time: they measure times, and start many servers.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn php(handler: &str, save_path: &str, settings: &[(&str, &str)]) -> Php {
    let php = Php::new()
        .ini("session.save_handler", handler)
        .ini("session.save_path", save_path)
        .ini("redis.session.locking_enabled", "1")
        // Whoever waits for a session waits for the failover of its holder.
        .ini("redis.session.lock_retries", "500");
    let php = match std::env::var("TOPO_LOG") {
        Ok(path) => php.ini("redis_session.log", &path).ini("redis_session.log_level", "debug"),
        Err(_) => php,
    };
    settings.iter().fold(php, |php, (name, value)| php.ini(name, value))
}

fn clustered(cluster: &Cluster, query: &str, settings: &[(&str, &str)]) -> Php {
    php("rediscluster", &cluster.save_path(&[0, 1, 2], query), settings)
}

fn watched(service: &Sentinel, query: &str, settings: &[(&str, &str)]) -> Php {
    php("redis", &service.save_path("", query), settings)
}

fn visitors(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("visitor-{n}")).collect()
}

/// What the cluster has of a session in the end.
fn stored_in(cluster: &Cluster) -> impl Fn(&str) -> String {
    |id| {
        let key = session_key(id);
        ask(cluster.node(cluster.primary_of(&key)), &["GET", &key])
    }
}

fn stored_by(service: &Sentinel) -> impl Fn(&str) -> String {
    |id| ask(service.server(service.primary()), &["GET", &format!("PHPREDIS_SESSION:{id}")])
}

#[track_caller]
fn warmed_up(php: &Php, ids: &[String]) -> Load {
    let load = Load::start(php, WORKERS, ids);
    wait_until("the workers are warm", || load.has_done(WARM_UP));
    load
}

/// Writes again and again to whoever is to be the new primary.
struct Prober {
    thread: JoinHandle<(Option<Duration>, usize)>,
    begin: SystemTime,
}

/// Asks the sentinels again and again who the primary is: before they name
/// another one, no client can know it.
struct Announcement {
    thread: JoinHandle<Option<Duration>>,
}

impl Announcement {
    /// Begins now.
    fn await_at(service: &Sentinel) -> Self {
        let sockets: Vec<PathBuf> = service.sentinels().iter().map(RedisServer::socket).collect();
        let old = service.server(service.primary()).port();
        let start = Instant::now();
        let thread = thread::spawn(move || {
            let named = poll(Duration::from_secs(30), || {
                thread::sleep(Duration::from_millis(3));
                sockets.iter().any(|socket| primary_named_by(socket).is_ok_and(|port| port != old))
            });
            named.then(|| start.elapsed())
        });
        Self { thread }
    }

    /// How long it took until the first of them named another one.
    #[track_caller]
    fn wait(self) -> Duration {
        let named = self.thread.join().unwrap();
        let named = named.unwrap_or_else(|| panic!("no sentinel named another primary in 30 s"));
        println!("named by the first sentinel after {:.2} s", named.as_secs_f64());
        named
    }
}

fn primary_named_by(sentinel: &Path) -> redis::RedisResult<u16> {
    let mut client = client(sentinel)?;
    let question = redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(SERVICE).take();
    let (_, port): (String, u16) = question.query(&mut client)?;
    Ok(port)
}

impl Prober {
    /// Begins now, on the servers' own sockets.
    fn start<'a>(servers: impl Iterator<Item = &'a RedisServer>, key: &str) -> Self {
        let sockets: Vec<PathBuf> = servers.map(RedisServer::socket).collect();
        // In the slot of the session's key.
        let key = match key.contains('{') {
            true => format!("{key}probe"),
            false => format!("{{{key}}}probe"),
        };
        let (begin, start) = (SystemTime::now(), Instant::now());
        let thread = thread::spawn(move || {
            let mut refused = 0;
            let done = poll(Duration::from_secs(30), || {
                thread::sleep(Duration::from_millis(3));
                sockets.iter().any(|socket| {
                    let set = set(socket, &key);
                    refused += usize::from(set.is_err());
                    set.is_ok()
                })
            });
            (done.then(|| start.elapsed()), refused)
        });
        Self { thread, begin }
    }

    /// How long it took until a write was taken, and how many were not.
    #[track_caller]
    fn wait(self) -> (Duration, usize) {
        let (took, refused) = self.thread.join().unwrap();
        (took.unwrap_or_else(|| panic!("nobody became primary within 30 s")), refused)
    }
}

/// Each time on a new connection: a failover may close those that are open.
fn set(socket: &Path, key: &str) -> redis::RedisResult<()> {
    redis::cmd("SET").arg(key).arg(1).exec(&mut client(socket)?)
}

fn client(socket: &Path) -> redis::RedisResult<redis::Connection> {
    let address = redis::ConnectionAddr::Unix(socket.to_owned());
    let info = redis::IntoConnectionInfo::into_connection_info(address)?;
    redis::Client::open(info)?.get_connection()
}

/// Prints the figures, and checks what holds for any change of servers.
#[track_caller]
fn judge(what: &str, report: &Report, begin: SystemTime, promotion: Duration, may_lose: bool) {
    let slowest = report.slowest(begin);
    println!(
        "{what}: promotion {:.2} s, slowest request {:.2} s, {report}{}",
        promotion.as_secs_f64(),
        slowest.as_secs_f64(),
        report.warnings(begin)
    );
    assert_eq!(report.foreign, 0, "{what}: a request saw another session");
    if !may_lose {
        assert_eq!(report.lost, 0, "{what}: acknowledged writes are gone");
    }
    assert!(promotion < Duration::from_secs(4), "{what}: too slow a machine to tell");
    // What a primary had not passed on when it failed may be a lock, or that a
    // write was done or confirmed: one request of each worker at most hears of
    // it.
    let is_told = |warning: &str| {
        warning.contains("before it said whether")
            || warning.contains("replicas confirmed it")
            || may_lose && warning.contains("session lock not held")
    };
    let (told, failed): (Vec<_>, Vec<_>) =
        report.failures.iter().partition(|(_, warning)| is_told(warning));
    assert!(failed.is_empty() && told.len() <= WORKERS, "{what}: a request failed: {failed:?}");
    assert!(slowest < promotion + MARGIN, "{what}: a request took {slowest:?}");
}

/// Lets the load see the new order for a while.
#[track_caller]
fn settle(load: &Load) {
    let now = SystemTime::now();
    let counts = poll(Duration::from_secs(30), || load.has_counted_since(now));
    assert!(
        counts,
        "not every worker counts again; their last requests:\n{}",
        load.last_requests()
    );
}

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

/// Nobody waited for more than the promotion, and nothing is gone but what no
/// replica was told in time.
#[track_caller]
fn assert_shared(report: &Report, begin: SystemTime, promotion: Duration) {
    let after = report.slowest(begin).saturating_sub(promotion);
    assert!(after < SHARED_MARGIN, "a request waited {after:?} longer than the promotion took");
    assert!(report.lost <= SHARING, "{report}");
}

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
    let cluster = Cluster::start(Default::default());
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
