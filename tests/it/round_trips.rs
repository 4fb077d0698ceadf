//! What a request costs, with locking off: exactly these round trips, made of
//! exactly these commands, on a connection that is kept, with a password and a
//! database to choose.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::support::proxy::RecordingProxy;
use crate::support::servers::{Options, RedisServer};
use crate::support::site::{Site, php};

const SID: &str = "round-trips-0123456789";
const KEY: &str = "PHPREDIS_SESSION:round-trips-0123456789";
const CHANGE: &str = "session_start(); $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);";
const LOOK: &str = "session_start();";

/// Stopped in this order.
struct Fixture {
    site: Site,
    proxy: RecordingProxy,
    server: RedisServer,
}

/// A site with a warm connection and the session `SID`.
fn site(settings: &[(&str, &str)]) -> Fixture {
    let options = Options { requirepass: Some("secret".into()), ..Options::default() };
    let server = RedisServer::start(options);
    let proxy = RecordingProxy::start(server.addr());
    let mut php = php(&format!("tcp://{}?auth=secret&database=3", proxy.addr()));
    for (name, value) in settings {
        php = php.ini(name, value);
    }
    let fixture = Fixture { site: Site::start(&php), proxy, server };
    let store = format!("ini_set('session.use_strict_mode', '0'); {CHANGE}");
    fixture.site.visit(SID, &store).ok();
    fixture
}

impl Fixture {
    /// How many round trips there were, and of what.
    #[track_caller]
    fn cost(&self, sid: &str, code: &str) -> (usize, Vec<String>) {
        self.proxy.reset();
        self.site.visit(sid, code).ok();
        (self.proxy.round_trips(), self.proxy.command_names())
    }

    /// Asks the server itself, in the sessions' database.
    fn ask(&self, command: &[&str]) -> i64 {
        let mut client = self.server.client();
        redis::cmd("SELECT").arg(3).exec(&mut client).unwrap();
        let answer: redis::Value =
            redis::cmd(command[0]).arg(&command[1..]).query(&mut client).unwrap();
        match answer {
            redis::Value::Int(number) => number,
            _ => 0,
        }
    }

    fn keys(&self) -> Vec<String> {
        let mut client = self.server.client();
        redis::cmd("SELECT").arg(3).exec(&mut client).unwrap();
        redis::cmd("KEYS").arg("*").query(&mut client).unwrap()
    }

    #[track_caller]
    fn assert_cost(&self, sid: &str, code: &str, round_trips: usize, commands: &str) {
        let (found, names) = self.cost(sid, code);
        assert_eq!(names.join(" "), commands, "{code}");
        assert_eq!(found, round_trips, "{code}");
        assert_eq!(self.proxy.connections(), 0, "the connection is kept");
    }

    #[track_caller]
    fn assert_new_connection(&self) {
        let (round_trips, names) = self.cost(SID, CHANGE);
        assert_eq!(names.join(" "), "HELLO SELECT GET PTTL SET");
        assert_eq!((round_trips, self.proxy.connections()), (3, 1));
    }
}

fn lenient() -> Fixture {
    site(&[("session.use_strict_mode", "0")])
}

fn strict() -> Fixture {
    site(&[("session.use_strict_mode", "1")])
}

#[test]
fn a_new_session_costs_two() {
    for fixture in [lenient(), strict()] {
        fixture.assert_cost("", CHANGE, 2, "GET SETEX");
        // One that nothing is put into is stored all the same.
        fixture.assert_cost("", LOOK, 2, "GET SETEX");
    }
}

#[test]
fn an_id_that_nobody_knows_costs_two_and_three_where_strict_mode_replaces_it() {
    lenient().assert_cost("unknown", CHANGE, 2, "GET PTTL SETEX");
    strict().assert_cost("unknown", CHANGE, 3, "GET PTTL GET SETEX");
}

#[test]
fn a_known_session_costs_two_with_strict_mode_and_without() {
    for fixture in [lenient(), strict()] {
        fixture.assert_cost(SID, CHANGE, 2, "GET PTTL SET");
        fixture.assert_cost(SID, LOOK, 2, "GET PTTL EXPIRE");
    }
}

#[test]
fn a_session_that_is_written_although_unchanged_costs_two() {
    let fixture = site(&[("session.lazy_write", "0")]);
    fixture.assert_cost(SID, LOOK, 2, "GET PTTL SET");
}

#[test]
fn early_refresh_makes_an_unchanged_session_cost_one() {
    let early = ("redis.session.early_refresh", "1");
    for strict in ["0", "1"] {
        let fixture = site(&[early, ("session.use_strict_mode", strict)]);
        fixture.assert_cost(SID, LOOK, 1, "GET EXPIRE");
        fixture.assert_cost(SID, CHANGE, 2, "GET EXPIRE SET");
    }
}

#[test]
fn reading_alone_costs_one() {
    for fixture in [lenient(), strict()] {
        fixture.assert_cost(SID, "session_start(['read_and_close' => true]);", 1, "GET");
        fixture.assert_cost(SID, &format!("{CHANGE} session_abort();"), 1, "GET PTTL");
    }
}

#[test]
fn a_reset_costs_one_more_read() {
    for fixture in [lenient(), strict()] {
        let code = format!("{CHANGE} session_reset(); $_SESSION['m'] = 1;");
        fixture.assert_cost(SID, &code, 3, "GET PTTL GET PTTL SET");
    }
}

#[test]
fn a_logout_costs_two() {
    for fixture in [lenient(), strict()] {
        fixture.assert_cost(SID, "session_start(); session_destroy();", 2, "GET PTTL DEL");
    }
}

#[test]
fn a_new_id_for_a_session_costs_four_in_all() {
    for fixture in [lenient(), strict()] {
        let keep = format!("{CHANGE} session_regenerate_id(false);");
        fixture.assert_cost(SID, &keep, 4, "GET PTTL SET GET SETEX");
        let delete = format!("{CHANGE} session_regenerate_id(true);");
        fixture.assert_cost(SID, &delete, 4, "GET PTTL DEL GET SETEX");
    }
}

#[test]
fn a_page_without_a_session_and_garbage_collection_cost_nothing() {
    let fixture = lenient();
    fixture.assert_cost(SID, "echo 'hello';", 0, "");
    fixture.assert_cost(SID, &format!("{LOOK} session_gc();"), 2, "GET PTTL EXPIRE");
}

#[test]
fn a_session_that_vanished_under_way_costs_no_more_and_stays_away() {
    let fixture = lenient();
    let socket = fixture.server.socket();
    let vanish = format!(
        "session_start(); $s = stream_socket_client('unix://{}');
         fwrite($s, \"AUTH secret\\r\\nSELECT 3\\r\\nFLUSHDB\\r\\nQUIT\\r\\n\");
         stream_get_contents($s);",
        socket.display()
    );
    fixture.assert_cost(SID, &vanish, 2, "GET PTTL EXPIRE");
    assert!(fixture.keys().is_empty());
    fixture.assert_cost(SID, CHANGE, 2, "GET PTTL SETEX");
    fixture.proxy.reset();
    let changed = fixture.site.visit(SID, &format!("{vanish} $_SESSION['n'] = 2;"));
    assert!(changed.warning().contains("its changes are lost"), "{}", changed.body);
    assert_eq!(fixture.proxy.command_names().join(" "), "GET PTTL SET");
    assert!(fixture.keys().is_empty());
}

#[test]
fn a_session_of_which_little_time_is_left_costs_one_more_to_keep_it() {
    for fixture in [lenient(), strict()] {
        for (left, commands) in [(50, "GET PTTL SET"), (40, "GET PTTL EXPIRE SET")] {
            fixture.ask(&["EXPIRE", KEY, &left.to_string()]);
            let round_trips = commands.split(' ').count() - 1;
            fixture.assert_cost(SID, CHANGE, round_trips, commands);
        }
        fixture.ask(&["EXPIRE", KEY, "5"]);
        fixture.assert_cost(SID, "session_start(['read_and_close' => true]);", 1, "GET");
        assert!(fixture.ask(&["TTL", KEY]) <= 5, "who only reads does not keep it");
    }
}

#[test]
fn a_server_that_does_not_tell_times_to_live_is_asked_once() {
    let fixture = lenient();
    fixture.ask(&["ACL", "SETUSER", "default", "-pttl"]);
    // Who may not ask how much is left starts it again with each read.
    fixture.assert_cost(SID, CHANGE, 3, "GET PTTL EXPIRE SET");
    fixture.assert_cost(SID, CHANGE, 2, "GET EXPIRE SET");
}

#[test]
fn a_new_connection_costs_exactly_one_more() {
    let fixture = lenient();
    fixture.site.fpm.kill_child(fixture.site.pid());
    fixture.assert_new_connection();
}

#[test]
fn replacing_a_connection_that_the_server_closed_costs_exactly_one_more() {
    let fixture = lenient();
    redis::cmd("CLIENT")
        .arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"])
        .exec(&mut fixture.server.client())
        .unwrap();
    fixture.site.await_close(fixture.proxy.port());
    fixture.assert_new_connection();
}

#[test]
fn database_zero_is_not_selected() {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let site = Site::start(&php(&format!("tcp://{}", proxy.addr())));
    site.visit(SID, CHANGE).ok();
    assert_eq!(proxy.command_names(), ["HELLO", "GET", "PTTL", "SETEX"]);
    assert_eq!(proxy.round_trips(), 3);
}
