//! Which save paths share a connection, how many are kept, and how long.

use super::{READ, site};
use crate::support::process::wait_until;
use crate::support::proxy::RecordingProxy;
use crate::support::servers::{Options, RedisServer};
use crate::support::site::{Site, php};

#[test]
fn save_paths_that_differ_only_in_prefix_database_or_weight_share_a_connection() {
    let fixture = site();
    let addr = fixture.proxy.addr();
    let visit = |n: usize| {
        let (database, weight) = (n % 5, 1 + n % 3);
        format!(
            "ini_set('session.save_path', 'tcp://{addr}?prefix=p{n}:&database={database}&weight={weight}');
             session_start(); echo $_SESSION['of'] ?? 'new'; $_SESSION['of'] = 'path {n}';"
        )
    };
    for n in 0..30 {
        assert_eq!(fixture.site.visit("alice", &visit(n)).ok(), "new");
    }
    fixture.proxy.reset();
    for n in 0..30 {
        assert_eq!(fixture.site.visit("alice", &visit(n)).ok(), format!("path {n}"));
    }
    // Another database is selected on the way.
    assert_eq!((fixture.proxy.round_trips(), fixture.proxy.open_connections()), (60, 1));
    let mut client = fixture.server.client();
    for database in 0..5 {
        redis::cmd("SELECT").arg(database).exec(&mut client).unwrap();
        let mut keys: Vec<String> = redis::cmd("KEYS").arg("p*").query(&mut client).unwrap();
        let mut expected: Vec<String> =
            (0..30).filter(|n| n % 5 == database).map(|n| format!("p{n}:alice")).collect();
        keys.sort_unstable();
        expected.sort_unstable();
        assert_eq!(keys, expected, "database {database}");
    }
    assert_eq!(fixture.read("alice").ok(), "true of alice.");
}

#[test]
fn what_is_for_a_database_that_cannot_be_selected_is_done_in_no_other() {
    let fixture = site();
    let addr = fixture.proxy.addr();
    let other = format!(
        "ini_set('session.save_path', 'tcp://{addr}?database=99&prefix=other:'); session_id('x');
         session_start(); $_SESSION['of'] = 'lost'; session_write_close();"
    );
    let visit = fixture.site.visit("alice", &other);
    assert!(visit.body.contains("out of range"), "{}", visit.body);
    fixture.assert_in_order();
    let keys = fixture.server.keys();
    assert!(keys.iter().all(|key| !key.starts_with("other:")), "{keys:?}");
}

#[test]
fn connections_are_kept_to_as_many_servers_as_the_setting_says() {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let php = php("tcp://127.0.0.1:1").ini("redis_session.max_servers", "3");
    let site = Site::start(&php);
    let visit = |login: usize| {
        let code = format!(
            "ini_set('session.save_path', 'tcp://{}?persistent_id={login}'); session_start();",
            proxy.addr()
        );
        site.visit("alice", &code).ok();
    };
    (0..6).for_each(visit);
    wait_until("the others are closed", || proxy.open_connections() == 3);
    let before = proxy.connections();
    (3..6).for_each(visit);
    assert_eq!(proxy.connections(), before, "the last ones are kept");
}

#[test]
fn a_connection_that_is_too_old_is_not_used_for_another_request() {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let site =
        |age: &str| Site::start(&php(&format!("tcp://{}?max_connection_age={age}", proxy.addr())));
    let short = "session_start(); $_SESSION['n'] = 1;";
    // Older than it may be by the time it is written.
    let long = "session_start(); usleep(1100000); $_SESSION['n'] = 2;";
    for (age, connections) in [("1", [1, 1, 1, 2, 2]), ("0", [1, 1, 1, 1, 1])] {
        proxy.reset();
        let before = proxy.connections();
        let site = site(age);
        for (code, count) in [short, short, long, short, short].into_iter().zip(connections) {
            site.visit("alice", code).ok();
            assert_eq!(proxy.connections() - before, count, "{age}");
            assert_eq!(proxy.open_connections(), 1, "{age}");
        }
        drop(site);
        wait_until("the worker is gone", || proxy.open_connections() == 0);
    }
}

#[test]
fn a_process_without_locking_starts_no_thread() {
    let server = RedisServer::start(Options::default());
    let code = "session_id('a'); session_start(); $_SESSION['n'] = 1; session_write_close();
        session_start(); session_write_close(); echo count(glob('/proc/self/task/*'));";
    assert_eq!(php(&format!("tcp://{}", server.addr())).run(code).ok(), "1");
}

#[test]
fn two_databases_of_one_server_are_never_confused() {
    let fixture = site();
    let addr = fixture.proxy.addr();
    let other = format!("ini_set('session.save_path', 'tcp://{addr}?database=5'); ");
    let store = "session_start(); $_SESSION['of'] = 'database 5';";
    fixture.site.visit("alice", &(other.clone() + store)).ok();
    assert_eq!(fixture.read("alice").ok(), "true of alice.");
    assert_eq!(fixture.site.visit("alice", &(other + READ)).ok(), "true of database 5.");
}
