//! Servers and networks that do not answer, or not in time.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

use super::{READ, READ_TIMEOUT, site};
use crate::support::process::wait_until;
use crate::support::proxy::Fault;
use crate::support::site::{Site, Visit, php};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{Backlog, listen};
use nix::unistd::Pid;

/// How much longer than the timeout a request may take on a busy machine.
const SLOWNESS: Duration = Duration::from_millis(1500);

/// A visit that fails within the read timeout's bounds.
#[track_caller]
fn assert_timed_out(visit: &Visit) {
    assert!(visit.body.ends_with("false of nobody."), "{}", visit.body);
    assert!(visit.warning().contains("no answer within 0.4 s"), "{}", visit.warning());
    assert!(visit.took >= READ_TIMEOUT, "{:?}", visit.took);
    assert!(visit.took < READ_TIMEOUT + SLOWNESS, "{:?}", visit.took);
}

#[test]
fn a_silent_network_costs_one_timeout_and_one_warning() {
    let fixture = site();
    fixture.proxy.set_fault(Fault::Stall);
    assert_timed_out(&fixture.read("alice"));
    fixture.proxy.clear_fault();
    fixture.assert_in_order();
}

#[test]
fn a_server_that_hangs_costs_one_timeout_and_one_warning() {
    let mut fixture = site();
    fixture.server.pause();
    assert_timed_out(&fixture.read("alice"));
    fixture.server.resume();
    fixture.assert_in_order();
}

#[test]
fn a_write_that_times_out_says_so_and_the_next_visitor_is_served() {
    let fixture = site();
    // The script makes this file once it has read, and waits until it is gone.
    let at = fixture.site.fpm.root().join("read");
    let code = format!(
        "session_start(); $_SESSION['of'] = 'new'; touch('{at}');
         while (file_exists('{at}')) {{ clearstatcache(); usleep(1000); }}
         session_write_close();",
        at = at.display()
    );
    let visit = thread::scope(|scope| {
        let visit = scope.spawn(|| fixture.site.visit("alice", &code));
        wait_until("the session is read", || at.exists());
        fixture.proxy.set_fault(Fault::Stall);
        std::fs::remove_file(&at).unwrap();
        visit.join().unwrap()
    });
    let start = "session_write_close(): Error writing session data to Redis: ";
    assert!(visit.warning().starts_with(start), "{}", visit.warning());
    assert!(visit.warning().contains("no answer within 0.4 s"), "{}", visit.warning());
    fixture.proxy.clear_fault();
    assert_eq!(fixture.read("bob").ok(), "true of bob.");
}

#[test]
fn a_reply_that_comes_too_late_reaches_no_other_visitor() {
    let fixture = site();
    fixture.proxy.set_fault_once(Fault::LateReply(READ_TIMEOUT + Duration::from_millis(200)));
    assert_timed_out(&fixture.read("alice"));
    // Alice's data arrive while these run.
    for _ in 0..30 {
        fixture.assert_in_order();
    }
    assert_eq!(fixture.proxy.connections(), 2, "the late one was given up");
}

#[test]
fn a_host_that_does_not_answer_costs_the_connect_timeout() {
    // The queue of a listener that accepts nobody is filled up: the kernel then
    // ignores who knocks.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    let knock = || TcpStream::connect_timeout(&addr, Duration::from_millis(100)).ok();
    let queue: Vec<TcpStream> = std::iter::from_fn(knock).collect();
    assert!(!queue.is_empty());
    let site = Site::start(&php(&format!("tcp://{addr}?timeout=0.3")));
    let visit = site.visit("alice", READ);
    assert!(visit.body.ends_with("false of nobody."), "{}", visit.body);
    let text = format!("{addr}: no connection within 0.3 s");
    assert!(visit.warning().contains(&text), "{}", visit.warning());
    assert!(visit.took >= Duration::from_millis(300), "{:?}", visit.took);
    assert!(visit.took < Duration::from_millis(300) + SLOWNESS, "{:?}", visit.took);
}

#[test]
fn a_unix_socket_whose_server_stopped_with_a_full_queue_fails_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("redis.sock");
    let listener = UnixListener::bind(&path).unwrap();
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    // One is accepted and never answered; it would block from the second on.
    let _queue = UnixStream::connect(&path).unwrap();
    let site = Site::start(&php(&format!("unix://{}?timeout=0.3", path.display())));
    let visit = site.visit("alice", READ);
    assert!(visit.body.ends_with("false of nobody."), "{}", visit.body);
    assert!(visit.warning().contains("no connection within 0.3 s"), "{}", visit.warning());
    assert!(visit.took < Duration::from_millis(300) + SLOWNESS, "{:?}", visit.took);
}

#[test]
fn a_login_that_is_never_answered_costs_the_connect_timeout() {
    let fixture = site();
    fixture.close_all_connections();
    fixture.proxy.set_fault(Fault::Stall);
    let addr = fixture.proxy.addr();
    let code = format!("ini_set('session.save_path', 'tcp://{addr}?timeout=0.3'); {READ}");
    let visit = fixture.site.visit("alice", &code);
    assert!(visit.body.ends_with("false of nobody."), "{}", visit.body);
    assert!(visit.warning().contains("no answer within 0.3 s"), "{}", visit.warning());
    assert!(visit.took < Duration::from_millis(300) + SLOWNESS, "{:?}", visit.took);
}

#[test]
fn a_signal_does_not_disturb_a_read() {
    let fixture = site();
    fixture.proxy.set_fault(Fault::LateReply(READ_TIMEOUT / 2));
    let save_path = format!("tcp://{}?read_timeout=2", fixture.proxy.addr());
    let running = php(&save_path).spawn(&format!(
        "pcntl_async_signals(true); $seen = 0;
         pcntl_signal(SIGUSR1, function () use (&$seen) {{ $seen++; }});
         echo 'ready ';
         session_id('alice'); ob_start(); {READ} $text = ob_get_clean();
         while (!$seen) usleep(100);
         echo $text;"
    ));
    wait_until("it listens to signals", || running.stdout().contains("ready"));
    // One every 2 ms, all the while that it waits for its answers.
    wait_until("it has read its session", || {
        kill(Pid::from_raw(running.pid()), Signal::SIGUSR1).unwrap();
        running.stdout().ends_with('.')
    });
    assert_eq!(running.stdout(), "ready true of alice.");
}
