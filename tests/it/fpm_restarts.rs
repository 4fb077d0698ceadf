//! php-fpm replaces its workers, by count or in a reload, while they are busy
//! with locked sessions: no count is lost, and no lock or connection left.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::fpm::Fpm;
use crate::support::php::Php;
use crate::support::process::wait_until;
use crate::support::proxy::RecordingProxy;
use crate::support::servers::{Options, RedisServer};
use crate::support::site::php;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Counts, one visitor after another, and says which worker did.
const COUNT: &str = "session_start(); $n = $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);
     session_write_close(); echo $n, ' ', getmypid();";
const WORKERS: usize = 3;

fn locking(proxy: &RecordingProxy) -> Php {
    php(&format!("tcp://{}", proxy.addr()))
        .ini("redis.session.locking_enabled", "1")
        // The lease of a lock whose holder is stopped; visits wait longer.
        .ini("max_execution_time", "2")
        .ini("redis.session.lock_retries", "500")
}

fn locks(server: &RedisServer) -> Vec<String> {
    server.keys().into_iter().filter(|key| key.ends_with("_LOCK")).collect()
}

#[test]
fn workers_that_end_after_some_requests_leave_no_lock_and_no_connection() {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let fpm = Fpm::start_with(&locking(&proxy), WORKERS, "pm.max_requests = 3");
    fpm.script("count.php", COUNT);
    let mut workers = BTreeSet::new();
    for visit in 1..=60 {
        let body = fpm.get("count.php", "PHPSESSID=ann").unwrap().body;
        let (count, worker) = body.split_once(' ').unwrap();
        assert_eq!(count, visit.to_string(), "{body}");
        workers.insert(worker.to_owned());
    }
    assert!(workers.len() >= 20, "{workers:?}");
    assert_eq!(locks(&server), [""; 0]);
    wait_until("those who have ended have closed theirs", || proxy.open_connections() <= WORKERS);
    assert!(!fpm.log().contains("exited on signal"), "{}", fpm.log());
}

#[test]
fn reloads_under_load_lose_no_count_and_leave_no_lock() {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let fpm = Fpm::start(&locking(&proxy), WORKERS);
    fpm.script("count.php", COUNT);
    let done = AtomicBool::new(false);
    let stored = thread::scope(|scope| {
        let visitors: Vec<_> = (0..2 * WORKERS)
            .map(|_| {
                scope.spawn(|| {
                    // A request whose worker is stopped gets no answer, but
                    // may have stored its count.
                    let mut last = 0;
                    while !done.load(Ordering::Relaxed) {
                        let Ok(response) = fpm.get("count.php", "PHPSESSID=ann") else { continue };
                        let Some((count, _)) = response.body.split_once(' ') else { continue };
                        let count: u64 = count.parse().unwrap();
                        assert!(count > last, "{count} after {last}");
                        last = count;
                    }
                    last
                })
            })
            .collect();
        for _ in 0..4 {
            let before = fpm.pids();
            kill(Pid::from_raw(fpm.master_pid()), Signal::SIGUSR2).unwrap();
            wait_until("other workers serve", || {
                let now = fpm.pids();
                now.len() == WORKERS && now.iter().all(|pid| !before.contains(pid))
            });
            proxy.reset();
        }
        done.store(true, Ordering::Relaxed);
        visitors.into_iter().map(|visitor| visitor.join().unwrap()).max().unwrap()
    });
    assert!(stored > 0);
    // A worker that was stopped with the lock leaves it to its lease, and the
    // next visit waits for that.
    let body = fpm.get("count.php", "PHPSESSID=ann").unwrap().body;
    let (count, _) = body.split_once(' ').unwrap();
    assert!(count.parse::<u64>().unwrap() > stored, "{body} after {stored}");
    // It may be on its way to a worker that was stopped while it waited.
    wait_until("the lock has ended", || locks(&server).is_empty());
    // One who waits looks around on a second connection, which is kept.
    wait_until("those who have ended have closed theirs", || {
        proxy.open_connections() <= 2 * WORKERS
    });
}
