//! How long a lock is waited for, by whom, and what follows, as PHP sees it.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use crate::support::locking::{
    SID, START, assert_quiet, contend, direct, hold, key, lock, lock_key, run, server, spawn,
    store, stored, tell, wait_for, waiting,
};
use crate::support::process::{poll, wait_until};
use crate::support::site::warnings;

const SECOND: Duration = Duration::from_secs(1);
/// For what takes no time: only so long that a busy machine can do it.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn a_waiter_gives_up_after_its_retries_and_says_who_has_the_lock() {
    let server = server();
    let holder = hold(&server, &direct(&server));
    let php = direct(&server)
        .ini("redis.session.lock_retries", "5")
        .ini("redis.session.lock_wait_time", "200000");
    let start = Instant::now();
    let code = format!(
        "{} echo 'goes on';",
        START.replace("session_start()", "var_dump(session_start())")
    );
    let output = run(&php, &code).ok();
    let took = start.elapsed();
    assert!(took >= SECOND && took < SECOND + SOON, "{took:?}");
    assert!(output.contains("bool(false)") && output.ends_with("goes on"), "{output}");
    let warnings = warnings(&output);
    assert_eq!(warnings.len(), 1, "{output}");
    let host = nix::unistd::gethostname().unwrap();
    for part in [
        "session_start(): Failed to acquire session lock: it has been held for ",
        &format!(" s by process {} on {}", holder.pid(), host.to_str().unwrap()),
        "which runs /",
        "test.php; gave up after 1.",
    ] {
        assert!(warnings[0].contains(part), "no {part} in {}", warnings[0]);
    }
    let token = lock(&server, SID).unwrap();
    assert!(!output.contains(token.split(':').nth(1).unwrap()), "the token is secret");
    tell(&server, "go");
    holder.wait().ok();
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn retries_of_minus_one_wait_until_the_lock_is_free() {
    let server = server();
    let php = direct(&server)
        .ini("redis.session.lock_retries", "-1")
        .ini("redis.session.lock_wait_time", "1000");
    let (holder, waiter) = contend(&server, &php, &format!("{START} count_up();"));
    // More than a hundred times as long as 100 retries.
    assert!(!poll(3 * SECOND, || waiting(&server) == 0));
    tell(&server, "go");
    holder.wait().ok();
    assert_quiet(&waiter.wait());
    assert_eq!(stored(&server, SID).unwrap(), "n|i:2;");
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn no_more_requests_wait_than_may() {
    let server = server();
    let php = direct(&server).ini("redis_session.lock_max_waiters", "1");
    let (holder, waiter) = contend(&server, &php, &format!("{START} count_up();"));
    let start = Instant::now();
    let output = run(&php, START).ok();
    assert!(start.elapsed() < SOON);
    let text = "Failed to acquire session lock: too many requests are already waiting for this \
                session (redis_session.lock_max_waiters = 1)";
    assert!(warnings(&output)[0].contains(text), "{output}");
    tell(&server, "go");
    holder.wait().ok();
    assert_quiet(&waiter.wait());
    assert_eq!(stored(&server, SID).unwrap(), "n|i:2;");
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn a_request_that_may_miss_the_lock_goes_on_read_only_and_its_write_is_refused() {
    for strict in ["0", "1"] {
        let server = server();
        store(&server, SID, "n|i:7;");
        let holder = hold(&server, &direct(&server));
        let php = direct(&server)
            .ini("session.use_strict_mode", strict)
            .ini("redis.session.lock_failure_readonly", "1")
            .ini("redis.session.lock_retries", "5");
        let code = format!("{START} echo '<', $_SESSION['n'], '>'; $_SESSION['n'] = 'x';");
        let output = run(&php, &code).ok();
        let warnings = warnings(&output);
        let first = "Failed to acquire session lock, session will be read only: ";
        assert!(warnings[0].contains(first), "{output}");
        assert!(output.contains("<7>"), "{output}");
        let refused = "Unable to write session: session lock not held";
        assert!(warnings[1].contains(refused) && warnings.len() == 2, "{output}");
        tell(&server, "go");
        holder.wait().ok();
        assert_eq!(stored(&server, SID).unwrap(), "n|i:8;", "strict mode {strict}");
        assert_eq!(server.keys(), [key(SID)]);
    }
}

#[test]
fn reading_alone_waits_until_the_lock_is_free_reads_what_was_written_and_takes_none() {
    for (read_only, options) in [("0", "['read_and_close' => true]"), ("1", "")] {
        let server = server();
        store(&server, SID, "n|i:7;");
        let php = direct(&server).ini("redis_session.read_only", read_only);
        let code = format!(
            "session_id('visitor'); session_start({options}); echo $_SESSION['n'], ' ';
             echo side_in(0, 'GET', '{}') === null ? 'unlocked' : 'locked';",
            lock_key(SID)
        );
        let (holder, reader) = contend(&server, &php, &code);
        tell(&server, "go");
        holder.wait().ok();
        assert_eq!(reader.wait().ok(), "8 unlocked", "{options}");
        assert_eq!(server.keys(), [key(SID)]);
    }
}

#[test]
fn reading_alone_reads_the_old_value_at_once_where_it_is_not_to_wait() {
    let server = server();
    store(&server, SID, "n|i:7;");
    let _holder = hold(&server, &direct(&server));
    for (read_only, options) in [("0", "['read_and_close' => true]"), ("1", "")] {
        let php = direct(&server)
            .ini("redis_session.read_only_wait", "0")
            .ini("redis_session.read_only", read_only);
        let code = format!("session_id('visitor'); session_start({options}); echo $_SESSION['n'];");
        assert_eq!(run(&php, &code).ok(), "7", "{options}");
    }
}

#[test]
fn a_read_only_request_cannot_write() {
    let server = server();
    store(&server, SID, "n|i:7;");
    let php = direct(&server).ini("redis_session.read_only", "1");
    let output = run(&php, &format!("{START} count_up();")).ok();
    let text = "Unable to write session: redis_session.read_only is on for this request";
    assert!(warnings(&output)[0].contains(text), "{output}");
    assert_eq!(stored(&server, SID).unwrap(), "n|i:7;");
}

#[test]
fn readers_that_wait_are_all_let_in_and_the_writer_among_them_too() {
    let server = server();
    store(&server, SID, "n|i:7;");
    let holder = hold(&server, &direct(&server));
    let read =
        "session_id('visitor'); session_start(['read_and_close' => true]); echo $_SESSION['n'];";
    let mut waiters = Vec::new();
    for (n, code) in
        [read, &format!("{START} count_up(); echo 'w';"), read, read].iter().enumerate()
    {
        waiters.push(spawn(&direct(&server), code));
        wait_until("it waits too", || waiting(&server) == n + 1);
    }
    tell(&server, "go");
    holder.wait().ok();
    let read: Vec<String> = waiters.into_iter().map(|waiter| waiter.wait().ok()).collect();
    assert_eq!(read, ["8", "w", "9", "9"]);
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn a_session_destroyed_during_the_wait_is_replaced_in_strict_mode() {
    let server = server();
    store(&server, SID, "n|i:7;");
    let destroyer =
        spawn(&direct(&server), &format!("{START} tell('held'); await('go'); session_destroy();"));
    wait_for(&server, "held");
    let php = direct(&server).ini("session.use_strict_mode", "1");
    let waiter = spawn(&php, &format!("{START} echo session_id();"));
    wait_until("it waits", || waiting(&server) == 1);
    tell(&server, "go");
    destroyer.wait().ok();
    let id = waiter.wait().ok();
    assert_ne!(id, SID, "an id that names no session was taken");
    assert_eq!(server.keys(), [key(&id)]);
}
