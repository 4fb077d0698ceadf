//! Connections are kept while they work, and replaced when they do not.

use std::time::Duration;

use super::{READ, site};
use crate::support::process::wait_until;
use crate::support::proxy::{Fault, RecordingProxy};
use crate::support::servers::{Options, RedisServer};
use crate::support::site::{Site, php};

#[test]
fn one_connection_serves_many_visitors() {
    let fixture = site();
    for n in 0..50 {
        fixture.site.visit(&format!("visitor{n}"), "session_start(); $_SESSION['n'] = 1;").ok();
    }
    assert_eq!((fixture.proxy.connections(), fixture.proxy.open_connections()), (1, 1));
}

#[test]
fn a_connection_that_is_not_persistent_ends_with_its_request() {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let site = Site::start(&php(&format!("tcp://{}?persistent=0", proxy.addr())));
    for visits in 1..=3 {
        site.visit("alice", "session_start(); $_SESSION['n'] = 1;").ok();
        wait_until("the connection is closed", || proxy.open_connections() == 0);
        assert_eq!(proxy.connections(), visits);
    }
    // One request, one connection, however many sessions it opens.
    proxy.reset();
    let twice = "session_start(); session_regenerate_id(); session_write_close();";
    site.visit("alice", twice).ok();
    assert!(proxy.connections() <= 2, "{}", proxy.connections());
}

#[test]
fn a_connection_that_the_server_closed_is_replaced_without_a_word() {
    let fixture = site();
    fixture.close_all_connections();
    fixture.assert_in_order();
    assert_eq!(fixture.proxy.connections(), 2);
}

#[test]
fn a_connection_that_dies_between_read_and_write_loses_no_data() {
    let fixture = site();
    let kill = format!(
        "session_start(); $_SESSION['of'] = 'new';
         $s = stream_socket_client('unix://{}');
         fwrite($s, \"CLIENT KILL TYPE normal SKIPME yes\\r\\nQUIT\\r\\n\");
         stream_get_contents($s);
         var_dump(session_write_close());",
        fixture.server.socket().display()
    );
    assert_eq!(fixture.site.visit("alice", &kill).ok(), "bool(true)\n");
    assert_eq!(fixture.stored("alice"), "of|s:3:\"new\";");
}

#[test]
fn a_restarted_server_is_found_again_without_a_word() {
    let mut fixture = site();
    fixture.server.restart();
    fixture.site.await_close(fixture.proxy.port());
    let store = "session_start(); $_SESSION['of'] = 'new'; var_dump(session_write_close());";
    assert_eq!(fixture.site.visit("alice", store).ok(), "bool(true)\n");
    assert_eq!(fixture.stored("alice"), "of|s:3:\"new\";");
}

#[test]
fn a_request_that_is_cut_on_a_kept_connection_is_repeated_on_a_new_one() {
    let fixture = site();
    for fault in [Fault::CutAfterRequestBytes(7), Fault::CutAfterReplyBytes(0)] {
        fixture.proxy.set_fault_once(fault);
        assert_eq!(fixture.read("alice").ok(), "true of alice.");
    }
    fixture.assert_in_order();
}

#[test]
fn a_connection_that_is_cut_again_and_again_is_given_up_with_one_warning() {
    let fixture = site();
    fixture.proxy.set_fault(Fault::CutAfterRequestBytes(7));
    let visit = fixture.read("alice");
    assert!(visit.body.ends_with("false of nobody."), "{}", visit.body);
    let warning = visit.warning();
    assert!(warning.starts_with("session_start(): Redis connection not available: 127.0.0.1:"));
    fixture.proxy.clear_fault();
    fixture.assert_in_order();
}

#[test]
fn a_refused_port_fails_at_once_and_names_the_host() {
    let mut server = RedisServer::start(Options::default());
    let addr = server.addr();
    let site = Site::start(&php(&format!("tcp://{addr}")));
    server.kill();
    let visit = site.visit("alice", READ);
    assert!(visit.body.ends_with("false of nobody."), "{}", visit.body);
    let start = format!("session_start(): Redis connection not available: {addr}: ");
    assert!(visit.warning().starts_with(&start), "{}", visit.warning());
    assert!(visit.warning().contains("refused"), "{}", visit.warning());
    assert!(visit.took < Duration::from_secs(1), "{:?}", visit.took);
    // Strict mode gives no new id: that the server is away is not the visitor's fault.
    let strict = "ini_set('session.use_strict_mode', '1'); session_start();";
    site.fpm.script("strict.php", strict);
    let response = site.fpm.get("strict.php", "PHPSESSID=alice").unwrap();
    assert!(response.body.contains("Redis connection not available"), "{response:?}");
    assert_eq!(response.cookie("PHPSESSID"), None);
    server.restart();
    let store = "session_start(); $_SESSION['of'] = 'alice';";
    site.visit("alice", store).ok();
    assert_eq!(site.visit("alice", READ).ok(), "true of alice.");
}

#[test]
fn a_connection_that_is_reset_at_once_is_one_warning() {
    let fixture = site();
    fixture.close_all_connections();
    fixture.proxy.set_fault(Fault::ResetOnAccept);
    let visit = fixture.read("alice");
    assert!(visit.body.ends_with("false of nobody."), "{}", visit.body);
    assert!(visit.warning().contains("Redis connection not available"), "{}", visit.warning());
    fixture.proxy.clear_fault();
    fixture.assert_in_order();
}
