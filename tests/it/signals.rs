//! Signals all the time, during each kind of exchange: no false error, and
//! nothing is lost.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use std::thread;
use std::time::Duration;

use crate::support::locking::{direct, php, server, stored, with_processes};
use crate::support::php::{Php, Running};
use crate::support::proxy::{Fault, RecordingProxy};
use crate::support::servers::{ClientCert, Options, RedisServer};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const STORM: [Signal; 3] = [Signal::SIGALRM, Signal::SIGCHLD, Signal::SIGPROF];
const PAUSE: Duration = Duration::from_micros(300);

/// Handles the signals, says so, and counts in the session many times.
const COUNT: &str = "
    pcntl_async_signals((bool) getenv('ASYNC'));
    $got = 0;
    foreach ([SIGALRM, SIGCHLD, SIGPROF] as $signal) {
        pcntl_signal($signal, static function () use (&$got) { $got++; }, (bool) getenv('RESTART'));
    }
    echo \"ready\\n\";
    for ($n = 0; $n < getenv('TIMES'); $n++) {
        session_id('visitor');
        if (!session_start()) exit('no session');
        $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);
        session_write_close();
        pcntl_signal_dispatch();
    }
    echo $got > 4 ? 'stormy' : \"only $got signals\";
    // At its end PHP lets go of the signals, and the next one would kill it.
    for ($over = hrtime(true) + 1e8; hrtime(true) < $over;) usleep(1000);";

/// Sends one signal after another until the process has ended.
#[track_caller]
fn storm(php: &Php, processes: usize, times: usize, ends: &[&str]) {
    let php = with_processes(php.clone()).env("TIMES", &times.to_string());
    for (asynchronous, restart) in [("1", "1"), ("1", ""), ("", "1"), ("", "")] {
        let php = php.clone().env("ASYNC", asynchronous).env("RESTART", restart);
        let running: Vec<Running> = (0..processes).map(|_| php.spawn(COUNT)).collect();
        thread::scope(|scope| {
            for process in running {
                scope.spawn(move || {
                    let pid = Pid::from_raw(process.pid());
                    crate::support::process::wait_until("it handles signals", || {
                        process.stdout().contains("ready")
                    });
                    let mut storm = STORM.iter().cycle();
                    while !ends.iter().any(|end| process.stdout().contains(end)) {
                        // It may have just ended.
                        let _ = kill(pid, *storm.next().unwrap());
                        thread::sleep(PAUSE);
                    }
                    let output = process.wait().ok();
                    assert_eq!(output, "ready\nstormy");
                });
            }
        });
    }
}

const ENDS: [&str; 5] = ["stormy", "only", "no session", "Warning", "Fatal"];
/// Ways to handle a signal.
const WAYS: usize = 4;

#[track_caller]
fn assert_counted(server: &RedisServer, times: usize) {
    assert_eq!(stored(server, "visitor").unwrap(), format!("n|i:{};", times * WAYS));
}

#[test]
fn signals_do_not_disturb_a_slow_exchange() {
    let server = server();
    let proxy = RecordingProxy::start(server.addr());
    proxy.set_fault(Fault::LateReply(Duration::from_millis(10)));
    storm(&php(&server, &format!("tcp://{}", proxy.addr())), 1, 20, &ENDS);
    assert_counted(&server, 20);
}

#[test]
fn signals_do_not_disturb_connecting_and_logging_in() {
    let server = server();
    let proxy = RecordingProxy::start(server.addr());
    proxy.set_fault(Fault::Delay(Duration::from_millis(3)));
    storm(&php(&server, &format!("tcp://{}?persistent=0", proxy.addr())), 1, 20, &ENDS);
    assert_counted(&server, 20);
}

#[test]
fn signals_do_not_disturb_a_tls_handshake() {
    let server =
        RedisServer::start(Options { tls: Some(ClientCert::Optional), ..Default::default() });
    let proxy = RecordingProxy::start(format!("127.0.0.1:{}", server.tls_port()));
    let cafile = server.certs().ca.display();
    let path = format!("tls://{}?persistent=0&stream[cafile]={cafile}", proxy.addr());
    storm(&php(&server, &path), 1, 60, &ENDS);
    assert_counted(&server, 60);
}

#[test]
fn signals_do_not_disturb_those_who_wait_for_a_lock() {
    let server = server();
    storm(&direct(&server), 3, 100, &ENDS);
    assert_counted(&server, 3 * 100);
}
