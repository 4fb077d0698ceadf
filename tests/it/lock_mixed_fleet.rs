//! phpredis and this extension lock the same session at the same time, as they
//! do while a fleet is moved from one to the other.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use crate::support::locking::{SIDE, direct, key, lock, stored, tell, wait_for};
use crate::support::php::Php;
use crate::support::process::wait_until;
use crate::support::servers::{Options, RedisServer};

const EACH: usize = 4;
const TIMES: usize = 50;

/// PHP whose `redis` sessions are phpredis', or none where it is not installed.
fn phpredis(server: &RedisServer) -> Option<Php> {
    let php = Php::without_extension()
        .phpredis_after()
        .ini("session.save_handler", "redis")
        .ini("session.save_path", &format!("tcp://{}", server.addr()))
        .ini("redis.session.locking_enabled", "1")
        .ini("redis.session.lock_expire", "10")
        .ini("redis.session.lock_retries", "5000")
        .ini("redis.session.lock_wait_time", "2000")
        .env("SIDE", server.socket().to_str().unwrap());
    if php.run("echo phpversion('redis');").stdout.starts_with(|c: char| c.is_ascii_digit()) {
        return Some(php);
    }
    crate::support::skip("phpredis is not installed (on Debian: apt-get install php-redis)");
    None
}

#[test]
fn four_hundred_increments_of_a_mixed_fleet_are_all_there() {
    let server = RedisServer::start(Options::default());
    let Some(theirs) = phpredis(&server) else { return };
    let ours = direct(&server).ini("redis.session.lock_wait_time", "5000");
    let spawn = |php: &Php| {
        php.clone().timeout(Duration::from_secs(60)).spawn(&format!(
            "{SIDE} tell('ready'); await('start');
             for ($n = 0; $n < {TIMES}; $n++) {{
                 session_id('shared');
                 if (!session_start()) exit('not locked');
                 if (side('INCR', 'inside') !== 1) side('INCR', 'overlaps');
                 count_up();
                 side('DECR', 'inside');
                 session_write_close();
                 usleep(mt_rand(0, 4000)); // phpredis only gets in where a lock is free
             }}
             echo 'done';"
        ))
    };
    let fleet: Vec<_> = (0..EACH).flat_map(|_| [spawn(&ours), spawn(&theirs)]).collect();
    for _ in &fleet {
        wait_for(&server, "ready");
    }
    for _ in &fleet {
        tell(&server, "start");
    }
    for php in fleet {
        assert_eq!(php.wait().ok(), "done");
    }
    let overlaps: Option<usize> = redis::cmd("GET")
        .arg("overlaps")
        .query(&mut crate::support::locking::side(&server))
        .unwrap();
    assert_eq!(overlaps, None);
    assert_eq!(stored(&server, "shared").unwrap(), format!("n|i:{};", 2 * EACH * TIMES));
    wait_until("the session alone is left", || server.keys() == [key("shared")]);
}

const HOLD: &str = "session_id('shared'); session_start(); count_up(); tell('held'); await('go');";
const TAKE: &str =
    "session_id('shared'); tell('asks'); session_start(); count_up(); echo $_SESSION['n'];";

#[test]
fn each_waits_for_the_other() {
    let server = RedisServer::start(Options::default());
    let Some(theirs) = phpredis(&server) else { return };
    let ours = direct(&server);
    let mut expected = 0;
    for (holder, waiter) in [(&ours, &theirs), (&theirs, &ours)] {
        let holder = holder.spawn(&format!("{SIDE} {HOLD}"));
        wait_for(&server, "held");
        let held = lock(&server, "shared").unwrap();
        let waiter = waiter.spawn(&format!("{SIDE} {TAKE}"));
        wait_for(&server, "asks");
        let deadline = std::time::Instant::now() + Duration::from_millis(300);
        while std::time::Instant::now() < deadline {
            assert_eq!(waiter.stdout(), "");
            assert_eq!(lock(&server, "shared").as_ref(), Some(&held));
            std::thread::sleep(Duration::from_millis(10));
        }
        tell(&server, "go");
        holder.wait().ok();
        expected += 2;
        assert_eq!(waiter.wait().ok(), expected.to_string());
    }
    assert_eq!(server.keys(), [key("shared")]);
}

#[test]
fn a_lock_that_a_killed_phpredis_left_is_waited_for_until_it_expires() {
    let server = RedisServer::start(Options::default());
    let Some(theirs) = phpredis(&server) else { return };
    let holder = theirs.ini("redis.session.lock_expire", "2").spawn(&format!("{SIDE} {HOLD}"));
    wait_for(&server, "held");
    holder.kill();
    assert!(lock(&server, "shared").is_some());
    assert_eq!(direct(&server).run(&format!("{SIDE} {TAKE}")).ok(), "1");
}
