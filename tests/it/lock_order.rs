//! Who waited longest is served first, however long the wait, whatever happens
//! to the lock or to the connection that a waiter is queued with; and
//! those that were killed are in nobody's way for long.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::cast_precision_loss, clippy::indexing_slicing, clippy::unwrap_used)]

use std::thread;
use std::time::{Duration, Instant};

use crate::support::locking::{
    SID, assert_quiet, direct, hold, key, lock_key, run, server, spawn, stored, tell, waiting,
    with_processes,
};
use crate::support::php::Running;
use crate::support::process::{poll, wait_until};
use crate::support::servers::RedisServer;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const SECOND: Duration = Duration::from_secs(1);
/// Notes in which order the session was had.
const NOTE: &str = "session_id('visitor'); session_start();
    $_SESSION['order'] = ($_SESSION['order'] ?? '') . getenv('NAME');";

/// A request that notes its name once it has the session, and waits in the queue.
fn queue_up(server: &RedisServer, name: &str) -> Running {
    let before = waiting(server);
    let waiter = spawn(&direct(server).env("NAME", name), NOTE);
    wait_until("it waits in the queue", || waiting(server) == before + 1);
    waiter
}

fn signal(running: &Running, signal: Signal) {
    kill(Pid::from_raw(running.pid()), signal).unwrap();
}

fn order(server: &RedisServer) -> String {
    let data = stored(server, SID).unwrap();
    data.split('"').nth(1).unwrap_or_default().to_owned()
}

/// Ends the connection of the request that has stood in the queue for longest.
fn cut_the_longest_waiting(server: &RedisServer) {
    let list: String = redis::cmd("CLIENT").arg("LIST").query(&mut server.client()).unwrap();
    let field = |line: &str, name: &str| {
        let value = line.split(' ').find_map(|field| field.strip_prefix(name)).unwrap().to_owned();
        value.parse::<u64>().unwrap()
    };
    let waits = |line: &&str| line.contains(" cmd=blpop ") && line.contains(" name=redis_session ");
    let longest = list.lines().filter(waits).min_by_key(|line| field(line, "id="));
    let id = field(longest.unwrap(), "id=");
    redis::cmd("CLIENT").arg("KILL").arg("ID").arg(id).exec(&mut server.client()).unwrap();
}

#[test]
fn one_who_waits_longer_than_a_wait_at_a_time_keeps_its_place() {
    let server = server();
    let holder = hold(&server, &direct(&server));
    let first = queue_up(&server, "A");
    thread::sleep(SECOND);
    let second = queue_up(&server, "B");
    // The first has looked how things are, the second has not.
    thread::sleep(SECOND * 9 / 2);
    tell(&server, "go");
    holder.wait().ok();
    assert_quiet(&first.wait());
    assert_quiet(&second.wait());
    assert_eq!(order(&server), "AB");
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn one_who_has_to_queue_up_again_keeps_its_place() {
    let server = server();
    let holder = hold(&server, &direct(&server));
    let waiters: Vec<_> = ["A", "B", "C", "D"].map(|name| queue_up(&server, name)).into();
    for _ in 0..2 {
        cut_the_longest_waiting(&server);
        wait_until("it waits in the queue again", || waiting(&server) == waiters.len());
    }
    tell(&server, "go");
    holder.wait().ok();
    for waiter in waiters {
        assert_quiet(&waiter.wait());
    }
    assert_eq!(order(&server), "ABCD");
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn a_newcomer_queues_up_behind_those_who_wait_when_the_lock_is_removed() {
    let server = server();
    let holder = hold(&server, &direct(&server));
    let first = queue_up(&server, "A");
    let second = queue_up(&server, "B");
    redis::cmd("DEL").arg(lock_key(SID)).exec(&mut server.client()).unwrap();
    let begun = Instant::now();
    let newcomer = spawn(&direct(&server).env("NAME", "C"), NOTE);
    for waiter in [first, second, newcomer] {
        assert_quiet(&waiter.wait());
    }
    assert!(begun.elapsed() < 4 * SECOND, "it is the newcomer that wakes them");
    assert_eq!(order(&server), "ABC");
    tell(&server, "go");
    holder.wait().ok(); // its write is refused, as its lock is gone
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn waiters_that_were_killed_keep_others_out_for_three_seconds_at_most() {
    for retries in ["1000", "-1"] {
        let server = server();
        let php = direct(&server)
            .ini("redis_session.lock_max_waiters", "3")
            .ini("redis.session.lock_retries", retries);
        let holder = hold(&server, &direct(&server));
        let waiters: Vec<_> = (1..=3)
            .map(|place| {
                let waiter = spawn(&php, NOTE);
                wait_until("it waits in the queue", || waiting(&server) == place);
                waiter
            })
            .collect();
        // They are still there when they have waited for some time.
        assert!(!poll(4 * SECOND, || {
            !run(&php, NOTE).ok().contains("too many requests are already waiting")
        }));
        waiters.iter().for_each(|waiter| {
            signal(waiter, Signal::SIGKILL);
        });
        drop(waiters);
        thread::sleep(3 * SECOND);
        let next = spawn(&php.env("NAME", "N"), NOTE);
        wait_until("it waits in the queue", || waiting(&server) == 1);
        tell(&server, "go");
        holder.wait().ok();
        assert_quiet(&next.wait());
        assert_eq!(order(&server), "N");
        assert_eq!(server.keys(), [key(SID)]);
    }
}

#[test]
fn waiters_that_were_killed_cost_those_behind_them_nothing() {
    let server = server();
    let holder = hold(&server, &direct(&server));
    let dead: Vec<_> = ["A", "B", "C"].map(|name| queue_up(&server, name)).into();
    let living = queue_up(&server, "D");
    for waiter in dead {
        signal(&waiter, Signal::SIGKILL);
        drop(waiter.wait());
    }
    wait_until("only one waits in the queue", || waiting(&server) == 1);
    let begun = Instant::now();
    tell(&server, "go");
    holder.wait().ok();
    assert_quiet(&living.wait());
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    // So does a newcomer, though the record of them is not out of date yet.
    let begun = Instant::now();
    assert_quiet(&spawn(&direct(&server).env("NAME", "E"), NOTE).wait());
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    assert_eq!(order(&server), "DE");
}

/// What `code` in a signal handler does to the queue while its request waits.
#[track_caller]
fn interrupted_by(code: &str) -> i64 {
    let server = server();
    let php = with_processes(direct(&server));
    let holder = hold(&server, &php);
    let script = format!(
        "pcntl_async_signals(true);
         pcntl_signal(SIGUSR1, function () {{ {code} }});
         session_id('visitor'); @session_start();"
    );
    let waiter = spawn(&php, &script);
    wait_until("it waits", || waiting(&server) == 1);
    signal(&waiter, Signal::SIGUSR1);
    crate::support::locking::wait_for(&server, "handled");
    let name = format!("{}_WAITERS:2", key(SID));
    let count: i64 = redis::cmd("ZCARD").arg(name).query(&mut server.client()).unwrap();
    tell(&server, "go");
    holder.wait().ok();
    drop(waiter.wait());
    count
}

#[test]
fn a_child_that_is_forked_during_a_wait_leaves_its_parent_in_the_queue() {
    let code = "if (pcntl_fork() === 0) { session_write_close(); exit; }
        pcntl_wait($status); tell('handled');";
    assert_eq!(interrupted_by(code), 1);
}

#[test]
fn a_handler_that_asks_for_another_session_during_a_wait_leaves_the_queue_properly() {
    for code in
        ["session_create_id();", "ini_set('redis.session.lock_retries', '5'); @session_reset();"]
    {
        // It may be back in the queue already.
        assert!(interrupted_by(&format!("{code} tell('handled');")) <= 1, "{code}");
    }
}

/// Requests of a second: so many at once, and then one each second.
const AT_ONCE: usize = 14;
const LATER: usize = 10;

#[test]
fn under_load_nobody_gives_up_before_one_who_came_later_is_served() {
    let server = server();
    let php = direct(&server).ini("redis.session.lock_retries", "1250"); // 25 s
    let visit = "$asked = microtime(true); session_id('visitor'); $ok = @session_start();
        $got = microtime(true); if ($ok) { usleep(1000000); }
        echo $asked, ' ', $got, ' ', (int) $ok;";
    let begun = Instant::now();
    let visits: Vec<_> = (0..AT_ONCE + LATER)
        .map(|n| {
            let at = SECOND * u32::try_from(n.saturating_sub(AT_ONCE - 1)).unwrap();
            thread::sleep(at.saturating_sub(begun.elapsed()));
            php.clone().timeout(60 * SECOND).spawn(visit)
        })
        .collect();
    let mut served: Vec<(f64, f64)> = visits
        .into_iter()
        .map(|visit| {
            let output = visit.wait().ok();
            let fields: Vec<f64> = output.split(' ').map(|f| f.parse().unwrap()).collect();
            assert!((fields[2] - 1.0).abs() < 0.1, "gave up after {} s", fields[1] - fields[0]);
            (fields[0], fields[1])
        })
        .collect();
    served.sort_by(|a, b| a.0.total_cmp(&b.0));
    // In order, each request takes its second when those before it have had theirs.
    let mut free = 0.0_f64;
    let mut ideal = 0.0_f64;
    for (asked, _) in &served {
        free = free.max(*asked);
        ideal = ideal.max(free - asked);
        free += 1.0;
    }
    let longest = served.iter().map(|(asked, got)| got - asked).fold(0.0, f64::max);
    println!("longest wait {longest:.2} s, ideal {ideal:.2} s");
    assert!(longest < 1.3 * ideal, "{longest} s, ideal {ideal} s");
    // Those who came a second later are served later.
    for (one, other) in served.iter().flat_map(|one| served.iter().map(move |other| (one, other))) {
        assert!(one.0 + 0.5 > other.0 || one.1 < other.1, "{one:?} after {other:?}");
    }
}
