//! A lock is kept for as long as its request lives, whatever other servers,
//! other requests of the process, or the server that gave it are at.
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use std::thread;
use std::time::{Duration, Instant};

use crate::support::cluster::{Cluster, ClusterOptions, ask};
use crate::support::locking::scene::{SECOND, id, renewing, ttl};
use crate::support::process::wait_until;
use crate::support::sentinel::{Sentinel, SentinelOptions};
use crate::support::servers::{Options, RedisServer};
use redis_session::session::handler::{Handler, WriteCause};
use std::task::Poll;

/// What takes no time, on a busy machine.
const SOON: Duration = Duration::from_secs(1);

fn server() -> RedisServer {
    RedisServer::start(Options::default())
}

fn path(server: &RedisServer) -> String {
    format!("tcp://{}", server.addr())
}

/// A request that has locked the session `sid`.
#[track_caller]
fn hold(save_path: &str, sid: &str, lease: Duration) -> Handler {
    let mut handler = renewing(save_path, lease);
    let read = handler.read(id(sid), ttl());
    assert!(matches!(read, Ok(Poll::Ready(()))), "{read:?}");
    handler.handed_over();
    handler
}

fn lock_of(server: &RedisServer, key: &str) -> Option<String> {
    ask(server, &["GET", &format!("{key}_LOCK")])
}

fn key(sid: &str) -> String {
    format!("PHPREDIS_SESSION:{sid}")
}

/// Looks at the lock for `time`.
#[track_caller]
fn assert_kept(server: &RedisServer, key: &str, time: Duration) {
    let value = lock_of(server, key);
    assert!(value.is_some(), "there is no lock to begin with");
    let start = Instant::now();
    while start.elapsed() < time {
        assert_eq!(lock_of(server, key), value, "after {:?}", start.elapsed());
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_server_that_stopped_ends_no_lock_at_another_one() {
    let (mut stopped, healthy) = (server(), server());
    let lease = 2 * SECOND;
    // Several, so that waiting for each of them takes longer than a lease.
    let bad: Vec<_> = (0..5).map(|n| hold(&path(&stopped), &format!("bad{n}"), lease)).collect();
    let mut good = hold(&path(&healthy), "good", lease);
    stopped.pause();
    assert_kept(&healthy, &key("good"), 3 * lease);

    // Nor does it hold up whoever needs a new connection meanwhile.
    let another = server();
    let start = Instant::now();
    let mut new = hold(&path(&another), "new", lease);
    assert!(new.write(id("new"), b"n|i:1;", ttl(), WriteCause::Page).unwrap().is_ready());
    assert!(good.write(id("good"), b"n|i:2;", ttl(), WriteCause::Page).unwrap().is_ready());
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    stopped.resume();
    drop(bad);
}

#[test]
fn locks_at_a_server_that_stopped_for_less_than_a_lease_are_still_there_after_it() {
    let mut server = server();
    let lease = 6 * SECOND;
    let sids: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
    let mut held: Vec<_> = sids.iter().map(|sid| hold(&path(&server), sid, lease)).collect();
    // From before the first renewal until a fraction before the end.
    thread::sleep(lease / 6);
    server.pause();
    thread::sleep(lease / 2);
    server.resume();
    thread::sleep(lease);
    for (handler, sid) in held.iter_mut().zip(&sids) {
        assert!(handler.write(id(sid), b"n|i:1;", ttl(), WriteCause::Page).unwrap().is_ready());
    }
}

#[test]
fn a_lock_lives_on_at_the_new_primary_of_a_service() {
    let mut service = Sentinel::start(SentinelOptions::default());
    let lease = 8 * SECOND;
    let mut handler = hold(&service.save_path("", ""), "sid", lease);
    wait_until("the replicas have it all", || {
        ask::<usize>(service.server(service.primary()), &["WAIT", "2", "100"]) == 2
    });
    let old = service.kill_primary();
    wait_until("there is a new primary", || service.primary() != old);
    assert_kept(service.server(service.primary()), &key("sid"), lease + SECOND);
    assert!(handler.write(id("sid"), b"n|i:1;", ttl(), WriteCause::Page).unwrap().is_ready());
}

#[test]
fn a_lock_lives_on_where_its_slot_of_a_cluster_has_moved() {
    let cluster = Cluster::start(ClusterOptions::default());
    let lease = 3 * SECOND;
    let sid = cluster.spread_ids(1).remove(0);
    let mut handler = hold(&cluster.save_path(&[0], ""), &sid, lease);
    let name = crate::support::cluster::session_key(&sid);
    let slot = cluster.slot_of(&name);
    let from = cluster.primary_of(&name);
    let to = (0..cluster.nodes().len()).find(|n| *n != from).unwrap();
    cluster.migrate_slot(slot, to, Duration::ZERO);
    assert_kept(cluster.node(to), &format!("{{{name}}}"), 2 * lease);
    assert!(handler.write(id(&sid), b"n|i:1;", ttl(), WriteCause::Page).unwrap().is_ready());
}

/// What the threads of this PHP are called.
#[cfg(feature = "php")]
const THREADS: &str = "array_map(fn ($file) => trim(file_get_contents($file)),
    glob('/proc/self/task/*/comm'))";

#[cfg(feature = "php")]
#[test]
fn only_a_request_that_outlives_a_third_of_its_lease_starts_a_thread_for_that() {
    use crate::support::locking::{START, direct, run};
    let server = server();
    let code = format!(
        "$renewing = fn () => in_array('redis-session-l', {THREADS});
         set_time_limit(3); // a lease of 3 s
         for ($n = 0; $n < 50; $n++) {{ {START} session_write_close(); }}
         echo $renewing() ? 'too early ' : 'none ';
         {START}
         side_in(0, 'CLIENT', 'PAUSE', 1500);
         $ends = microtime(true) + 2;
         while (!($seen = $renewing()) && microtime(true) < $ends) usleep(1000);
         echo $seen ? 'one ' : 'none ';
         $ends = microtime(true) + 5;
         while (($seen = $renewing()) && microtime(true) < $ends) usleep(1000);
         echo $seen ? 'for ever' : 'ended';"
    );
    assert_eq!(run(&direct(&server), &code).ok(), "none one ended");
}

#[cfg(feature = "php")]
#[test]
fn a_process_forks_without_harm_while_it_renews_a_lock() {
    use crate::support::locking::{START, direct, lock, run, with_processes};
    let server = server();
    // A lease of 1 s, renewed each third: some forks meet a renewal. Each child
    // starts threads of its own.
    let code = format!(
        "set_time_limit(1); {START} count_up();
         for ($n = 0; $n < 200; $n++) {{
             if (!($child = pcntl_fork())) {{
                 session_abort(); session_id(\"child$n\"); session_start(); count_up();
                 session_write_close(); ob_clean(); exit(0);
             }}
             pcntl_waitpid($child, $status);
             if ($status) echo \"$n: $status \";
             usleep(5000);
         }}
         echo side_in(0, 'EXISTS', 'PHPREDIS_SESSION:visitor_LOCK');
         var_dump(session_write_close());"
    );
    let php = with_processes(direct(&server));
    assert_eq!(run(&php, &code).ok(), "1bool(true)\n");
    assert!(lock(&server, "visitor").is_none());
}
