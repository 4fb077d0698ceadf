//! What interrupts a wait for a lock: signals, and servers that go away.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use crate::support::locking::{
    SID, START, assert_quiet, assert_refused, contend, direct, hold, key, php, server, spawn,
    store, stored, tell, wait_for, waiting, with_processes,
};
use crate::support::process::wait_until;
use crate::support::site::warnings;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const SECOND: Duration = Duration::from_secs(1);
/// For what takes no time: only so long that a busy machine can do it.
const SOON: Duration = Duration::from_secs(5);

// ------------------------------------------------------------------- signals

#[test]
fn sigterm_ends_a_process_that_waits() {
    let server = server();
    let (_holder, waiter) = contend(&server, &direct(&server), START);
    let start = Instant::now();
    kill(Pid::from_raw(waiter.pid()), Signal::SIGTERM).unwrap();
    let output = waiter.wait();
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert_eq!(output.status.signal(), Some(Signal::SIGTERM as i32), "{output:?}");
    wait_until("the server has forgotten it", || waiting(&server) == 0);
}

const HANDLER: &str = "pcntl_async_signals(true);";

#[test]
fn a_signal_handler_runs_during_the_wait_and_the_wait_goes_on() {
    let server = server();
    let code = format!(
        "{HANDLER} pcntl_signal(SIGTERM, static function () {{ tell('handled'); echo 'handled '; }});
         {START} count_up(); echo $_SESSION['n'];"
    );
    let (holder, waiter) = contend(&server, &with_processes(direct(&server)), &code);
    for _ in 0..2 {
        let start = Instant::now();
        kill(Pid::from_raw(waiter.pid()), Signal::SIGTERM).unwrap();
        wait_for(&server, "handled");
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    }
    assert_eq!(waiting(&server), 1, "still in its place");
    tell(&server, "go");
    holder.wait().ok();
    assert_eq!(waiter.wait().ok(), "handled handled 2");
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn a_signal_handler_that_exits_during_the_wait_ends_the_request_and_makes_no_session() {
    for strict in ["0", "1"] {
        let server = server();
        let php = with_processes(direct(&server)).ini("session.use_strict_mode", strict);
        let code = format!(
            "register_shutdown_function(static function () {{ echo 'shut down'; }});
             {HANDLER} pcntl_signal(SIGTERM, static function () {{ exit(3); }});
             {START} echo 'not reached';"
        );
        store(&server, SID, "n|i:1;");
        let (holder, waiter) = contend(&server, &php, &code);
        let start = Instant::now();
        kill(Pid::from_raw(waiter.pid()), Signal::SIGTERM).unwrap();
        let output = waiter.wait();
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(output.stdout.ends_with("shut down"), "{output:?}");
        assert!(!output.stdout.contains("not reached"));
        tell(&server, "go");
        holder.wait().ok();
        assert_eq!(server.keys(), [key(SID)], "strict mode {strict}: {}", output.stdout);
        assert_eq!(stored(&server, SID).unwrap(), "n|i:2;");
    }
}

#[test]
fn a_signal_handler_that_throws_during_the_wait_ends_the_wait_and_the_request_goes_on() {
    for strict in ["0", "1"] {
        let server = server();
        store(&server, SID, "n|i:1;");
        let php = with_processes(direct(&server)).ini("session.use_strict_mode", strict);
        let code = format!(
            "{HANDLER} pcntl_signal(SIGALRM, static function () {{ throw new Exception('alarm'); }});
             try {{ {START} }} catch (Exception $e) {{ echo $e->getMessage(); }}
             echo session_status() === PHP_SESSION_NONE ? ' none ' : ' open ';
             ini_set('redis.session.lock_retries', '1000'); await('released');
             session_id('visitor'); session_start(); count_up(); echo $_SESSION['n'];"
        );
        let (holder, waiter) = contend(&server, &php, &code);
        kill(Pid::from_raw(waiter.pid()), Signal::SIGALRM).unwrap();
        wait_until("it waits no more", || waiting(&server) == 0);
        tell(&server, "go");
        holder.wait().ok();
        tell(&server, "released");
        let output = waiter.wait().ok();
        assert!(output.contains("alarm none "), "strict mode {strict}: {output}");
        assert!(output.ends_with('3'), "strict mode {strict}: {output}");
        assert_eq!(server.keys(), [key(SID)], "strict mode {strict}");
    }
}

// ------------------------------------------------------------------- servers

#[test]
fn a_waiter_whose_connection_is_closed_queues_up_again() {
    let server = server();
    let (holder, waiter) = contend(&server, &direct(&server), &format!("{START} count_up();"));
    let list: String = redis::cmd("CLIENT").arg("LIST").query(&mut server.client()).unwrap();
    let waiting_line = list
        .lines()
        .find(|line| line.contains(" name=redis_session ") && line.contains(" cmd=blpop "));
    let id = waiting_line.unwrap().split(' ').next().unwrap().trim_start_matches("id=");
    redis::cmd("CLIENT").arg(&["KILL", "ID", id]).exec(&mut server.client()).unwrap();
    wait_until("it waits on another connection", || {
        let now: String = redis::cmd("CLIENT").arg("LIST").query(&mut server.client()).unwrap();
        waiting(&server) == 1 && !now.contains(&format!("id={id} "))
    });
    tell(&server, "go");
    holder.wait().ok();
    assert_quiet(&waiter.wait());
    assert_eq!(stored(&server, SID).unwrap(), "n|i:2;");
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn a_server_that_restarts_during_a_wait_ends_the_wait_and_refuses_the_holder() {
    let (between, mut server) = (server(), server());
    let php = php(&between, &format!("tcp://{}", server.addr()));
    let holder = hold(&between, &php);
    let waiter = spawn(&php, &format!("{START} $_SESSION['n'] = 'of the waiter';"));
    wait_until("it waits", || waiting(&server) == 1);
    server.restart();
    // It was let in, or has met the closed port and says so.
    let output = waiter.wait().ok();
    let said = warnings(&output);
    assert!(said.iter().all(|w| w.contains("Redis connection not available")), "{output}");
    tell(&between, "go");
    assert_refused(&holder.wait().ok());
    let found = stored(&server, SID);
    let expected = said.is_empty().then(|| "n|s:13:\"of the waiter\";".to_owned());
    assert_eq!(found, expected);
}

#[test]
fn a_server_that_goes_away_during_a_wait_ends_it_with_a_warning() {
    let (between, mut server) = (server(), server());
    let php = php(&between, &format!("tcp://{}?timeout=1", server.addr()));
    let _holder = hold(&between, &php);
    let waiter = spawn(&php, START);
    wait_until("it waits", || waiting(&server) == 1);
    let start = Instant::now();
    server.kill();
    let output = waiter.wait().ok();
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert!(warnings(&output)[0].contains("Redis connection not available"), "{output}");
}

#[test]
fn a_server_that_goes_silent_during_a_wait_is_given_up() {
    let (between, mut server) = (server(), server());
    let php = php(&between, &format!("tcp://{}?timeout=1&read_timeout=1", server.addr()))
        .ini("redis.session.lock_retries", "100"); // two seconds
    let _holder = hold(&between, &php);
    let waiter = spawn(&php.timeout(15 * SECOND), START);
    wait_until("it waits", || waiting(&server) == 1);
    let start = Instant::now();
    server.pause();
    let output = waiter.wait().ok();
    // What is left of the two seconds, and a read timeout.
    assert!(start.elapsed() < 3 * SECOND + SOON, "{:?}", start.elapsed());
    assert!(warnings(&output)[0].contains("Error communicating with Redis server"), "{output}");
}
