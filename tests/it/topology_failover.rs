//! Visitors keep coming while servers change places: no request fails while
//! the failover takes less than its budget, and no acknowledged write is lost.
//!
//! - `killed`, `frozen`: the primary fails, and a replica takes its place
//! - `planned`: servers hand over, or are restarted, one at a time
//! - `slots`: slots move to another node of the cluster
//! - `probes`: when the new primary takes writes, and when it is announced
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod frozen;
mod killed;
mod planned;
mod probes;
mod slots;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::support::cluster::{Cluster, ask, session_key};
use crate::support::load::{Load, Report};
use crate::support::php::Php;
use crate::support::process::{poll, wait_until};
use crate::support::sentinel::Sentinel;

const WORKERS: usize = 4;
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
