//! A php-fpm worker that lives long: it grows by nothing, and what happens to
//! its siblings and its master does not lose a session.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::fpm::Fpm;
use crate::support::process::wait_until;
use crate::support::proxy::{Fault, RecordingProxy};
use crate::support::servers::{Options, RedisServer};
use crate::support::site::{Site, php};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const COUNT: &str = "session_start(); echo $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);";
const WARM_UP: usize = 1_000;
const REQUESTS: usize = 10_000;
/// A leak of twelve bytes a request is more.
const GROWTH_KIB: u64 = 100;

/// What a process holds, besides php-fpm's own sockets: the one of the last
/// request may not be closed yet.
#[derive(Debug, PartialEq, Eq)]
struct Holdings {
    threads: usize,
    files: usize,
}

fn holdings(pid: i32) -> Holdings {
    let sockets = fs::read_to_string(format!("/proc/{pid}/net/unix")).unwrap();
    let sockets: Vec<&str> = sockets
        .lines()
        .filter(|line| line.ends_with("/fpm.sock"))
        .filter_map(|line| line.split_whitespace().nth(6))
        .collect();
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = links.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    let is_fpm_s = |link: &PathBuf| {
        let inode = link.to_str().and_then(|link| link.strip_prefix("socket:["));
        inode.is_some_and(|inode| sockets.contains(&inode.trim_end_matches(']')))
    };
    Holdings {
        threads: fs::read_dir(format!("/proc/{pid}/task")).unwrap().count(),
        files: links.filter(|link| !is_fpm_s(link)).count(),
    }
}

/// Memory in use that is no file's. How much of the files' memory counts
/// depends on what else runs on this machine.
fn memory_kib(pid: i32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// One visit in each way that a session can go.
fn request(fpm: &Fpm, n: usize) {
    let (page, sid) = match n % 10 {
        0 => ("create.php", String::new()),
        1 => ("destroy.php", format!("worker{n}")),
        2 => ("renew.php", format!("worker{n}")),
        3 => ("large.php", "large".to_owned()),
        _ => ("count.php", format!("worker{}", n % 100)),
    };
    let cookie = if sid.is_empty() { sid } else { format!("PHPSESSID={sid}") };
    let response = fpm.get(page, &cookie).unwrap();
    assert!(!response.body.contains("Warning"), "{}", response.body);
}

#[test]
fn ten_thousand_requests_leave_no_memory_thread_file_or_connection_behind() {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let site = Site::start(&php(&format!("tcp://{}", proxy.addr())));
    for (page, code) in [
        ("create.php", COUNT),
        ("count.php", COUNT),
        ("destroy.php", "session_start(); session_destroy();"),
        ("renew.php", "session_start(); session_regenerate_id(true); $_SESSION['n'] = 1;"),
        (
            "large.php",
            "session_start(); $_SESSION['d'] = str_repeat(chr(random_int(65, 90)), 300000);",
        ),
    ] {
        site.fpm.script(page, code);
    }
    let pid = site.pid();
    (0..WARM_UP).for_each(|n| request(&site.fpm, n));
    assert_eq!(proxy.connections(), 1);
    let (before, memory) = (holdings(pid), memory_kib(pid));
    for n in WARM_UP..REQUESTS {
        request(&site.fpm, n);
        if n % 100 == 0 {
            // What it has recorded is large.
            proxy.reset();
        }
        assert_eq!(proxy.open_connections(), 1);
    }
    assert_eq!(site.pid(), pid, "no worker has died");
    assert_eq!(holdings(pid), before);
    let grown = memory_kib(pid).saturating_sub(memory);
    println!("memory after {WARM_UP} requests: {memory} KiB; grown by {grown} KiB; {before:?}");
    assert!(grown < GROWTH_KIB, "grown by {grown} KiB from {memory} KiB");
    assert_eq!((proxy.connections(), proxy.open_connections()), (0, 1));
}

#[test]
fn failing_requests_leave_nothing_behind_either() {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let site = Site::start(&php(&format!("tcp://{}", proxy.addr())));
    site.fpm.script("count.php", COUNT);
    let pid = site.pid();
    let fail = |times: usize| {
        for _ in 0..times {
            // Every second one fails: once on a kept connection, once on none.
            proxy.set_fault(Fault::CutAfterRequestBytes(3));
            let response = site.fpm.get("count.php", "PHPSESSID=a").unwrap();
            assert!(response.body.contains("Redis connection not available"), "{response:?}");
            proxy.clear_fault();
            let response = site.fpm.get("count.php", "PHPSESSID=a").unwrap();
            assert!(!response.body.contains("Warning"), "{response:?}");
        }
    };
    fail(100);
    let (before, memory) = (holdings(pid), memory_kib(pid));
    fail(400);
    assert_eq!(holdings(pid), before);
    let grown = memory_kib(pid).saturating_sub(memory);
    assert!(grown < GROWTH_KIB, "grown by {grown} KiB from {memory} KiB");
}

#[test]
fn a_save_path_made_up_for_each_request_does_not_collect_connections() {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let site = Site::start(&php("tcp://unused"));
    let addr = proxy.addr();
    for n in 0..100 {
        let code = format!("ini_set('session.save_path', 'tcp://{addr}?prefix=p{n}:'); {COUNT}");
        assert_eq!(site.visit("alice", &code).ok(), "1");
    }
    assert!(proxy.open_connections() <= 20, "{}", proxy.open_connections());
    let pid = site.pid();
    let sockets = holdings(pid).files;
    assert!(sockets < 40, "{sockets} open files");
}

#[test]
fn no_thread_and_no_connection_exists_before_the_first_session() {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let site = Site::start(&php(&format!("tcp://{}", proxy.addr())));
    site.visit("", "echo 'hello';").ok();
    assert_eq!(holdings(site.fpm.master_pid()).threads, 1);
    assert_eq!(holdings(site.pid()).threads, 1);
    assert_eq!(proxy.connections(), 0);
    site.visit("alice", COUNT).ok();
    assert!(holdings(site.pid()).threads <= 2, "one helper thread beside the request");
    assert_eq!(holdings(site.fpm.master_pid()).threads, 1);
}

#[test]
fn a_killed_worker_takes_no_session_with_it() {
    let server = RedisServer::start(Options::default());
    let site = Site::start(&php(&format!("tcp://{}", server.addr())));
    for visit in 1..=5 {
        assert_eq!(site.visit("alice", COUNT).ok(), visit.to_string());
        site.fpm.kill_child(site.pid());
    }
    assert_eq!(site.visit("alice", COUNT).ok(), "6");
}

/// Tells the master to reload and waits until other workers serve.
fn reload(site: &Site) {
    let before = site.pid();
    kill(Pid::from_raw(site.fpm.master_pid()), Signal::SIGUSR2).unwrap();
    wait_until("another worker serves", || {
        let pids = site.fpm.pids();
        pids.len() == 1 && pids[0] != before
    });
}

#[test]
fn a_reload_of_php_fpm_loses_no_session_and_keeps_no_connection() {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let site = Site::start(&php(&format!("tcp://{}", proxy.addr())));
    for visit in 1..=5 {
        assert_eq!(site.visit("alice", COUNT).ok(), visit.to_string());
        reload(&site);
        wait_until("its connection is closed", || proxy.open_connections() == 0);
    }
    assert_eq!(site.visit("alice", COUNT).ok(), "6");
    assert_eq!(proxy.connections(), 6);
}

#[test]
fn workers_of_one_pool_share_sessions_while_some_are_killed() {
    let server = RedisServer::start(Options::default());
    let fpm = Fpm::start(&php(&format!("tcp://{}", server.addr())), 3);
    fpm.script("own.php", &format!("{COUNT} echo '|', session_id();"));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let visitors: Vec<_> = ["ann", "ben", "cleo"]
            .into_iter()
            .map(|name| {
                let (fpm, done) = (&fpm, &done);
                scope.spawn(move || {
                    let (mut visits, mut stored) = (0, 0);
                    while !done.load(Ordering::Relaxed) || visits < 50 {
                        // A request whose worker is killed gets no answer, but
                        // may have stored its count.
                        let cookie = format!("PHPSESSID={name}");
                        let Ok(response) = fpm.get("own.php", &cookie) else { continue };
                        let (count, id) = response.body.split_once('|').unwrap();
                        assert_eq!(id, name);
                        let count: usize = count.parse().unwrap();
                        assert!(count > stored, "{count} after {stored}");
                        (stored, visits) = (count, visits + 1);
                    }
                })
            })
            .collect();
        for _ in 0..5 {
            fpm.kill_child(fpm.pids()[0]);
        }
        done.store(true, Ordering::Relaxed);
        visitors.into_iter().for_each(|visitor| visitor.join().unwrap());
    });
}

#[test]
fn a_worker_that_has_to_stop_in_a_request_stores_its_session() {
    let server = RedisServer::start(Options::default());
    let site = Site::start(&php(&format!("tcp://{}", server.addr())));
    // A fatal error and an exit end a request in the middle of PHP code.
    for end in
        ["no_such_function();", "exit;", "ini_set('memory_limit', '2M'); str_repeat('x', 1 << 24);"]
    {
        let code = format!("session_start(); $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0); {end}");
        site.visit("alice", &code);
    }
    assert_eq!(site.visit("alice", COUNT).ok(), "4");
    let timeout = Duration::from_secs(20);
    let slow = format!("{COUNT} set_time_limit(1); while (true);");
    let visit = site.visit("alice", &slow);
    assert!(visit.body.contains("Maximum execution time") && visit.took < timeout);
    assert_eq!(site.visit("alice", COUNT).ok(), "6");
}
