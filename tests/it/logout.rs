//! A logout is not undone: what has become of a session under a request that
//! uses it, with locking and without; and that a session which merely comes to
//! the end of its time is no such thing.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use std::thread;
use std::time::{Duration, Instant};

use crate::support::locking::{
    self, SIDE, START, assert_quiet, direct, key, lock_key, run, server, spawn, store, tell,
    wait_for,
};
use crate::support::php::Php;
use crate::support::process::wait_until;
use crate::support::proxy::{Fault, RecordingProxy};
use crate::support::servers::{Options, RedisServer};
use crate::support::site::{self, warnings};

/// What a request does with the session that it has read, and what it hears.
const CHANGES: [(&str, Option<&str>); 2] =
    [("", None), ("$_SESSION['b'] = 1;", Some("its changes are lost"))];
const LOGOUTS: [&str; 2] = ["session_destroy();", "session_regenerate_id(true);"];

/// PHP without locking, whose scripts may begin with `SIDE`.
fn unlocked(server: &RedisServer) -> Php {
    site::php(&format!("tcp://{}", server.addr())).env("SIDE", server.socket().to_str().unwrap())
}

fn is_there(server: &RedisServer) -> bool {
    server.keys().contains(&key("visitor"))
}

/// A reads, then `logout` happens, then A ends. Returns what A printed.
fn interleave(server: &RedisServer, php: &Php, change: &str, logout: impl FnOnce()) -> String {
    store(server, "visitor", "user|s:5:\"alice\";");
    let request = spawn(php, &format!("{START} {change} tell('read'); await('go');"));
    wait_for(server, "read");
    logout();
    assert!(!is_there(server), "the logout has removed it");
    tell(server, "go");
    request.wait().ok()
}

#[track_caller]
fn assert_heard(output: &str, expected: Option<&str>) {
    let heard = warnings(output);
    match expected {
        None => assert!(heard.is_empty(), "{output}"),
        Some(text) => assert!(heard.iter().any(|warning| warning.contains(text)), "{output}"),
    }
}

#[test]
fn without_a_lock_a_logout_wins_over_a_request_that_has_read_before() {
    let server = server();
    let php = unlocked(&server);
    for logout in LOGOUTS {
        for (change, heard) in CHANGES {
            let output = interleave(&server, &php, change, || {
                run(&php, &format!("{START} {logout}")).ok();
            });
            assert_heard(&output, heard);
            assert!(!is_there(&server), "{logout} {change}");
        }
    }
}

#[test]
fn a_logout_wins_over_a_request_whose_lock_was_taken_away() {
    let server = server();
    let php = direct(&server);
    for logout in LOGOUTS {
        for (change, heard) in CHANGES {
            let output = interleave(&server, &php, change, || {
                run(
                    &php,
                    &format!("side_in(0, 'DEL', '{}'); {START} {logout}", lock_key("visitor")),
                )
                .ok();
            });
            assert_heard(&output, heard.map(|_| "session lock not held"));
            assert!(!is_there(&server), "{logout} {change}");
        }
    }
}

#[test]
fn a_logout_by_one_that_knows_no_locks_wins_over_the_holder_who_releases_the_lock() {
    let server = server();
    for (change, heard) in CHANGES {
        let output = interleave(&server, &direct(&server), change, || {
            run(&unlocked(&server), &format!("{START} session_destroy();")).ok();
        });
        assert_heard(&output, heard);
        assert_eq!(server.keys(), [""; 0]);
    }
}

#[test]
fn a_logout_wins_over_a_write_that_replicas_are_to_confirm() {
    let server = server();
    let config = vec![format!("replicaof 127.0.0.1 {}", server.port())];
    let _replica = RedisServer::start(Options { config, ..Options::default() });
    wait_until("the replica is in sync", || {
        let answer = redis::cmd("WAIT").arg(1).arg(10).query::<usize>(&mut server.client());
        answer.unwrap() == 1
    });
    for php in [unlocked(&server), direct(&server)] {
        let php = php.ini("redis_session.wait_replicas", "1");
        for (change, heard) in CHANGES {
            let output = interleave(&server, &php, change, || {
                run(&unlocked(&server), &format!("{START} session_destroy();")).ok();
            });
            assert_heard(&output, heard);
            assert!(!output.contains("replicas confirmed"), "{output}");
            assert_eq!(server.keys(), [""; 0]);
        }
    }
}

#[test]
fn a_write_that_was_done_and_not_answered_is_no_session_that_vanished() {
    let server = server();
    let proxy = RecordingProxy::start(server.addr());
    let path = format!("tcp://{}", proxy.addr());
    for php in [site::php(&path), locking::php(&server, &path)] {
        let php = php.env("SIDE", server.socket().to_str().unwrap());
        for size in [1, 5000] {
            store(&server, "visitor", "a|i:1;");
            let code = format!(
                "{START} tell('read'); await('go'); $_SESSION['b'] = str_repeat('b', {size});"
            );
            let request = spawn(&php, &code);
            wait_for(&server, "read");
            proxy.set_fault_once(Fault::CutAfterReplyBytes(0));
            tell(&server, "go");
            let output = request.wait().ok();
            assert_heard(&output, None);
            let stored = locking::stored(&server, "visitor").unwrap();
            assert!(stored.len() > size, "{stored}");
            assert_eq!(server.keys(), [key("visitor")]);
        }
    }
}

#[test]
fn a_locked_session_outlives_its_time_for_as_long_as_the_request_takes() {
    // A lease that is renewed, and one that was chosen longer than the session's time.
    for lock_expire in ["0", "60"] {
        let server = server();
        let php = direct(&server)
            .ini("session.gc_maxlifetime", "2")
            .ini("redis.session.lock_expire", lock_expire);
        store(&server, "visitor", "a|i:1;");
        let expire = |seconds: u32| {
            let mut client = server.client();
            redis::cmd("EXPIRE").arg(key("visitor")).arg(seconds).exec(&mut client).unwrap();
        };
        expire(2);
        let request =
            spawn(&php, &format!("{START} tell('read'); await('go'); $_SESSION['a'] = 2;"));
        wait_for(&server, "read");
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            assert!(is_there(&server), "gone after {:?}", start.elapsed());
            thread::sleep(Duration::from_millis(50));
        }
        tell(&server, "go");
        assert_quiet(&request.wait());
        assert_eq!(locking::stored(&server, "visitor").unwrap(), "a|i:2;");
    }
}

#[test]
fn a_locked_session_that_is_destroyed_meanwhile_is_not_brought_back_by_a_renewal() {
    let server = server();
    let php = direct(&server).ini("session.gc_maxlifetime", "2");
    let output = interleave(&server, &php, "", || {
        redis::cmd("DEL").arg(key("visitor")).exec(&mut server.client()).unwrap();
        thread::sleep(Duration::from_millis(1500)); // two renewals
    });
    assert_heard(&output, None);
    assert_eq!(server.keys(), [""; 0]);
}

#[test]
fn a_session_with_seconds_left_outlives_a_page_that_takes_longer() {
    let server = server();
    for php in [unlocked(&server), direct(&server)] {
        store(&server, "visitor", "a|i:1;");
        redis::cmd("PEXPIRE").arg(key("visitor")).arg(500).exec(&mut server.client()).unwrap();
        let code = format!("{SIDE} {START} usleep(800000); $_SESSION['a'] = 2;");
        assert_quiet(&php.run(&code));
        assert_eq!(locking::stored(&server, "visitor").unwrap(), "a|i:2;");
    }
}
