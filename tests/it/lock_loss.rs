//! How a lock is lost and how it is kept, as PHP sees it.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use crate::support::locking::{
    SID, START, assert_quiet, assert_refused, direct, hold, key, lock, lock_as_another, lock_key,
    run, server, spawn, store, stored, tell, unlock, wait_for, waiting, with_processes,
};
use crate::support::process::wait_until;
use crate::support::servers::RedisServer;

const SECOND: Duration = Duration::from_secs(1);
/// For what takes no time: only so long that a busy machine can do it.
const SOON: Duration = Duration::from_secs(5);

/// PTTL of the lock: below 0 where there is none.
fn lock_ends_in(server: &RedisServer) -> i64 {
    redis::cmd("PTTL").arg(lock_key(SID)).query(&mut server.client()).unwrap()
}

// ------------------------------------------------------------------ lost locks

#[test]
fn a_write_after_the_lock_expired_is_refused_and_what_the_next_one_wrote_survives() {
    let server = server();
    let slow = hold(&server, &direct(&server).ini("redis.session.lock_expire", "1"));
    wait_until("the lock has expired", || lock(&server, SID).is_none());
    let next = run(&direct(&server), &format!("{START} $_SESSION['n'] = 100;"));
    assert_quiet(&next);
    tell(&server, "go");
    assert_refused(&slow.wait().ok());
    assert_eq!(stored(&server, SID).unwrap(), "n|i:100;");
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn a_write_without_the_lock_is_refused_whoever_has_it_and_the_lock_stays_theirs() {
    let server = server();
    let php = direct(&server);
    store(&server, SID, "n|i:7;");

    let holder = hold(&server, &php);
    unlock(&server, SID);
    tell(&server, "go");
    assert_refused(&holder.wait().ok());

    let holder = hold(&server, &php);
    lock_as_another(&server, SID, 60_000);
    tell(&server, "go");
    assert_refused(&holder.wait().ok());
    assert_eq!(lock(&server, SID).as_deref(), Some("another-host|1"));
    assert_eq!(stored(&server, SID).unwrap(), "n|i:7;");
}

#[test]
fn an_unchanged_session_loses_nothing_with_its_lock_and_nothing_is_said() {
    let server = server();
    store(&server, SID, "n|i:7;");
    let code = format!("{START} tell('held'); await('go');");
    let holder = spawn(&direct(&server), &code);
    wait_for(&server, "held");
    unlock(&server, SID);
    tell(&server, "go");
    let output = holder.wait();
    assert_quiet(&output);
    assert_eq!(stored(&server, SID).unwrap(), "n|i:7;");
}

#[test]
fn a_user_error_handler_that_throws_when_the_lock_is_lost_ends_the_session_in_good_order() {
    let server = server();
    let code = format!(
        "set_error_handler(static function ($level, $text) {{ throw new Exception($text); }});
         {START} count_up(); side_in(0, 'DEL', '{}');
         try {{ session_write_close(); echo 'not reached'; }}
         catch (Exception $e) {{ echo get_class($e), ' ', $e->getMessage(), ' '; }}
         echo session_status() === PHP_SESSION_NONE ? 'closed' : 'open';
         set_error_handler(null);
         {START} count_up(); var_dump(session_write_close());",
        lock_key(SID)
    );
    let output = run(&direct(&server), &code).ok();
    assert!(output.starts_with("Exception "), "{output}");
    assert!(output.contains("Session lock expired"), "{output}");
    assert!(output.ends_with("closedbool(true)\n"), "{output}");
    assert_eq!(stored(&server, SID).unwrap(), "n|i:1;");
    assert_eq!(server.keys(), [key(SID)]);
}

// ------------------------------------------------------------------ kept locks

#[test]
fn a_lease_of_the_time_limit_is_renewed_while_the_request_lives() {
    let server = server();
    // PHP's command line has no limit but the one set here, in seconds of CPU.
    let code = format!("set_time_limit(1); {START} count_up(); tell('held'); await('go');");
    let holder = spawn(&direct(&server), &code);
    wait_for(&server, "held");
    let value = lock(&server, SID).unwrap();
    let start = Instant::now();
    while start.elapsed() < 3 * SECOND {
        let left = lock_ends_in(&server);
        assert!((1..=1000).contains(&left), "it ends in {left} ms");
        assert_eq!(lock(&server, SID).as_ref(), Some(&value));
        std::thread::sleep(Duration::from_millis(20));
    }
    tell(&server, "go");
    let output = holder.wait();
    assert_quiet(&output);
    assert_eq!(stored(&server, SID).unwrap(), "n|i:1;");
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn a_chosen_lease_is_not_renewed() {
    let server = server();
    let holder = hold(&server, &direct(&server).ini("redis.session.lock_expire", "2"));
    let mut before = lock_ends_in(&server);
    assert!((1..=2000).contains(&before));
    wait_until("the lock has expired", || {
        let now = lock_ends_in(&server);
        assert!(now <= before, "it was renewed");
        before = now;
        now < 0
    });
    drop(holder);
}

#[test]
fn a_holder_that_was_killed_blocks_the_next_for_ten_seconds_at_most() {
    let server = server();
    let killed = Instant::now();
    hold(&server, &direct(&server)).kill();
    assert!(lock(&server, SID).is_some());
    let output = run(&direct(&server), &format!("{START} count_up();"));
    assert_quiet(&output);
    let took = killed.elapsed();
    assert!(took < 10 * SECOND + SOON, "{took:?}");
    assert_eq!(stored(&server, SID).unwrap(), "n|i:1;");
}

#[test]
fn a_proxy_that_writes_twice_keeps_the_lock_until_it_closes_and_both_writes_land() {
    let server = server();
    let key = key(SID);
    let code = format!(
        "class Proxy extends SessionHandler {{
             public function write($id, $data): bool {{
                 $first = parent::write($id, 'first');
                 echo side_in(0, 'GET', '{key}'), ' ', (bool) side_in(0, 'GET', '{key}_LOCK');
                 return $first && parent::write($id, $data);
             }}
         }}
         session_set_save_handler(new Proxy()); {START} count_up();
         var_dump(session_write_close());"
    );
    let output = run(&direct(&server), &code).ok();
    assert_eq!(output, "first 1bool(true)\n");
    assert_eq!(stored(&server, SID).unwrap(), "n|i:1;");
    assert_eq!(server.keys(), [key]);
}

#[test]
fn several_sessions_of_one_request_are_locked_one_after_another() {
    let server = server();
    let code = "
        foreach (['a', 'b', 'a', 'c'] as $name) {
            session_id($name); session_start(); count_up();
            $locks = array_filter(side_in(0, 'KEYS', '*'), fn ($key) => str_ends_with($key, '_LOCK'));
            echo implode(',', $locks), ' ';
            session_write_close(); $_SESSION = [];
        }
        session_id('a'); session_start(); session_abort(); session_id('b'); session_start();";
    let output = run(&direct(&server), code).ok();
    let locks = ["a", "b", "a", "c"].map(lock_key).join(" ");
    assert_eq!(output.trim(), locks);
    assert_eq!(stored(&server, "a").unwrap(), "n|i:2;");
    assert_eq!(server.keys(), ["a", "b", "c"].map(key));
}

#[test]
fn exit_a_fatal_error_and_an_exception_let_the_lock_go() {
    let server = server();
    for end in ["exit(0);", "no_such_function();", "throw new Exception('x');", "session_abort();"]
    {
        run(&direct(&server), &format!("{START} count_up(); {end}"));
        assert!(lock(&server, SID).is_none(), "{end}");
        assert!(server.keys().iter().all(|k| *k == key(SID)), "{end}: {:?}", server.keys());
    }
    let memory = format!("{START} ini_set('memory_limit', '8M'); $x = str_repeat('x', 64 << 20);");
    run(&direct(&server), &memory);
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn after_a_fork_the_lock_is_the_parent_s_alone() {
    let server = server();
    let code = format!(
        "{START} count_up();
         if (!($child = pcntl_fork())) {{
             $_SESSION['n'] = 'of the child'; session_write_close();
             fwrite(STDERR, ob_get_clean()); exit(0);
         }}
         pcntl_waitpid($child, $status);
         echo side_in(0, 'GET', '{}') ? 'locked ' : 'unlocked ';
         var_dump(session_write_close());",
        lock_key(SID)
    );
    let output = run(&with_processes(direct(&server)), &code);
    let refused = "Unable to write session: session lock not held";
    assert!(output.stderr.contains(refused), "{output:?}");
    assert_eq!(output.stdout, "locked bool(true)\n", "{output:?}");
    assert_eq!(stored(&server, SID).unwrap(), "n|i:1;");
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn a_child_can_wait_for_the_lock_that_its_parent_holds() {
    let server = server();
    let code = format!(
        "{START} count_up();
         if (!($child = pcntl_fork())) {{
             session_abort(); {START} count_up(); session_write_close(); ob_clean(); exit(0);
         }}
         tell('forked'); await('go'); session_write_close();
         pcntl_waitpid($child, $status); echo $status;"
    );
    let parent = spawn(&with_processes(direct(&server)), &code);
    wait_for(&server, "forked");
    wait_until("the child waits", || waiting(&server) == 1);
    tell(&server, "go");
    assert_eq!(parent.wait().ok(), "0");
    assert_eq!(stored(&server, SID).unwrap(), "n|i:2;");
    assert_eq!(server.keys(), [key(SID)]);
}
