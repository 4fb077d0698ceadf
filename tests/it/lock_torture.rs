//! Workers are killed with -9 while they hold the lock and while they wait for
//! it: nothing that was acknowledged is lost, and no two hold it at a time.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::support::locking::{self, SIDE, key, lock, side, with_processes};
use crate::support::php::{Php, Running};
use crate::support::process::poll;
use crate::support::servers::{Options, RedisServer};

const SID: &str = "tortured";
const WORKERS: usize = 8;
const INCREMENTS: usize = 2_000;
const KILLS_OF_HOLDERS: usize = 10;
const KILLS_OF_OTHERS: usize = 40;
const KILL_EVERY: Duration = Duration::from_millis(120);
const LEASE: f64 = 1.0;
const WINDOW: f64 = 0.5;
/// lock_retries x lock_wait_time.
const LOCK_WAIT: Duration = Duration::from_secs(8);
const LIMIT: Duration = Duration::from_secs(50);

/// Counts until it is killed. What it tells the side channel: `read` in the
/// order of the critical section, `acknowledged` after a write, `waits`.
const WORKER: &str = "
    function alive($pid) {
        $stat = @file_get_contents(\"/proc/$pid/stat\");
        return $stat !== false && substr(strrchr($stat, ')'), 2, 1) !== 'Z';
    }
    set_error_handler(static fn ($level, $text) =>
        !(error_reporting() & $level) || side('RPUSH', 'failures', $text));
    $me = getmypid();
    while (true) {
        session_id('tortured');
        $asked = microtime(true);
        if (!session_start()) exit;
        $entered = microtime(true);
        $inside = side('GETSET', 'inside', $me);
        if ($inside && $inside != $me && alive($inside)) side('INCR', 'overlaps');
        side('RPUSH', 'read', $_SESSION['n'] ?? 0);
        count_up();
        usleep(mt_rand(0, 1500));
        if (side('GET', 'inside') != $me) side('INCR', 'overlaps');
        side('DEL', 'inside');
        if (session_write_close()) side('RPUSH', 'acknowledged', $_SESSION['n']);
        side('RPUSH', 'waits', \"$asked $entered\");
    }
";

fn list(connection: &mut redis::Connection, name: &str) -> Vec<String> {
    redis::cmd("LRANGE").arg(name).arg(0).arg(-1).query(connection).unwrap()
}

fn length(connection: &mut redis::Connection, name: &str) -> usize {
    redis::cmd("LLEN").arg(name).query(connection).unwrap()
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Which worker holds the lock, as its value tells.
fn holder(server: &RedisServer, workers: &[Running]) -> Option<usize> {
    let value = lock(server, SID)?;
    if value.ends_with(":baton") {
        return None;
    }
    let pid: i32 = value.split(':').nth(3)?.parse().ok()?;
    workers.iter().position(|worker| worker.pid() == pid)
}

struct Deaths {
    /// When a worker was killed that held the lock.
    holders: Vec<f64>,
    others: usize,
}

/// Kills and replaces workers until enough has happened.
fn torture(server: &RedisServer, php: &Php) -> (Deaths, Duration) {
    let spawn = || php.spawn(&format!("{SIDE} {WORKER}"));
    let mut workers: Vec<Running> = (0..WORKERS).map(|_| spawn()).collect();
    let mut counts = side(server);
    let mut deaths = Deaths { holders: Vec::new(), others: 0 };
    let start = Instant::now();
    for round in 0_usize.. {
        let done = length(&mut counts, "acknowledged") >= INCREMENTS
            && deaths.holders.len() >= KILLS_OF_HOLDERS
            && deaths.others >= KILLS_OF_OTHERS;
        if done || start.elapsed() > LIMIT {
            break;
        }
        // What is awaited is not a condition: the workers are to get somewhere.
        std::thread::sleep(KILL_EVERY);
        // Every fourth is aimed at whoever holds the lock at this moment.
        let aimed = if round % 4 == 0 { holder(server, &workers) } else { None };
        let victim = aimed.unwrap_or(round * 5 % WORKERS);
        let holds = holder(server, &workers) == Some(victim);
        workers.remove(victim).kill();
        if holds || aimed.is_some() {
            deaths.holders.push(seconds());
        } else {
            deaths.others += 1;
        }
        workers.push(spawn());
    }
    (deaths, start.elapsed())
}

#[test]
fn no_acknowledged_increment_is_lost_while_workers_are_killed() {
    let server = RedisServer::start(Options::default());
    let retries = (LOCK_WAIT.as_millis() / 20).to_string();
    let php = locking::direct(&server)
        .ini("redis.session.lock_expire", "1")
        .ini("redis.session.lock_retries", &retries);
    let (deaths, took) = torture(&server, &with_processes(php));
    let mut counts = side(&server);

    let acknowledged: Vec<usize> =
        list(&mut counts, "acknowledged").iter().map(|n| n.parse().unwrap()).collect();
    let read: Vec<usize> = list(&mut counts, "read").iter().map(|n| n.parse().unwrap()).collect();
    let stored = locking::stored(&server, SID).unwrap();
    let last: usize = stored.trim_start_matches("n|i:").trim_end_matches(';').parse().unwrap();
    let killed = deaths.holders.len() + deaths.others;
    println!(
        "{} acknowledged of {last} in {:.1} s, {} holders and {} others killed",
        acknowledged.len(),
        took.as_secs_f64(),
        deaths.holders.len(),
        deaths.others
    );

    assert_eq!(list(&mut counts, "failures"), [""; 0], "nobody failed");
    let overlaps: Option<usize> = redis::cmd("GET").arg("overlaps").query(&mut counts).unwrap();
    assert_eq!(overlaps, None, "two were in the critical section");

    // Each increment was acknowledged to one worker, and is in what is stored.
    let distinct: HashSet<usize> = acknowledged.iter().copied().collect();
    assert_eq!(distinct.len(), acknowledged.len(), "an increment was acknowledged twice");
    assert!(distinct.iter().all(|n| (1..=last).contains(n)));
    assert!(last <= acknowledged.len() + killed, "{last} stored, {} known", acknowledged.len());
    // In order: each holder read what the one before wrote, or, if that one
    // was killed, what it had read.
    for pair in read.windows(2) {
        assert!(pair[1] == pair[0] || pair[1] == pair[0] + 1, "{pair:?}");
    }
    assert!(acknowledged.len() >= INCREMENTS, "only {} in {LIMIT:?}", acknowledged.len());
    assert!(deaths.holders.len() >= KILLS_OF_HOLDERS && deaths.others >= KILLS_OF_OTHERS);

    // A wait is as long as the leases and windows that ended in it.
    let mut longest = 0.0_f64;
    for wait in list(&mut counts, "waits") {
        let (asked, entered) = wait.split_once(' ').unwrap();
        let (asked, entered): (f64, f64) = (asked.parse().unwrap(), entered.parse().unwrap());
        let died =
            deaths.holders.iter().filter(|at| (asked - LEASE..entered).contains(*at)).count();
        let bound = (died as f64 + 1.0) * (LEASE + WINDOW) + 1.0;
        assert!(entered - asked < bound, "{:.1} s with {died} deaths", entered - asked);
        longest = longest.max(entered - asked);
    }
    println!("longest wait {longest:.2} s");

    let only_the_session = || server.keys() == [key(SID)];
    assert!(poll(LOCK_WAIT + Duration::from_secs(2), only_the_session), "{:?}", server.keys());
}
