//! What a request costs with locking on: exactly these round trips, on a
//! connection that is kept and to a server that knows the scripts.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::thread;
use std::time::Duration;

use crate::support::locking::{self, SIDE, lock_key, store, tell, wait_for, waiting};
use crate::support::process::wait_until;
use crate::support::proxy::RecordingProxy;
use crate::support::servers::{Options, RedisServer};
use crate::support::site::Site;

const SID: &str = "round-trips-0123456789";
const CHANGE: &str = "session_start(); $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);";
/// 100 KB, and different each time.
const CHANGE_MUCH: &str =
    "session_start(); $_SESSION['m'] = str_repeat('x', 100 << 10) . bin2hex(random_bytes(8));";
const LOOK: &str = START;
const START: &str = "session_start();";
const READ: &str = "session_start(['read_and_close' => true]);";

/// Stopped in this order.
struct Fixture {
    site: Site,
    proxy: RecordingProxy,
    server: RedisServer,
}

/// A site with a warm connection to a server that knows every script.
fn site(settings: &[(&str, &str)]) -> Fixture {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let mut php = locking::php(&server, &format!("tcp://{}", proxy.addr()));
    for (name, value) in settings {
        php = php.ini(name, value);
    }
    let fixture = Fixture { site: Site::start(&php), proxy, server };
    let lenient = "ini_set('session.use_strict_mode', '0');";
    fixture.site.visit(SID, &format!("{lenient} {CHANGE}")).ok();
    fixture.site.visit(SID, LOOK).ok();
    fixture.site.visit(SID, READ).ok();
    fixture.site.visit(SID, "session_start(); session_abort();").ok();
    fixture.site.visit("other", "session_start(); session_destroy();").ok();
    let (turn, _) = fixture.contend(SID, CHANGE, Duration::ZERO);
    assert!(turn > 0);
    fixture
}

impl Fixture {
    #[track_caller]
    fn assert_cost(&self, sid: &str, code: &str, round_trips: usize, commands: &str) {
        self.proxy.reset();
        self.site.visit(sid, code).ok();
        assert_eq!(self.proxy.command_names().join(" "), commands, "{code}");
        assert_eq!(self.proxy.round_trips(), round_trips, "{code}");
        assert_eq!(self.proxy.connections(), 0, "the connection is kept");
        let keys = self.server.keys();
        let companions = ["_LOCK", "_BATON", "_WAITERS", "_STAGED:"];
        let left: Vec<_> =
            keys.iter().filter(|k| companions.iter().any(|c| k.contains(c))).collect();
        assert!(left.is_empty(), "{code} leaves {left:?}");
    }

    /// A visit that has to wait for `hold`; how many round trips it took, of what.
    #[track_caller]
    fn contend(&self, sid: &str, code: &str, hold: Duration) -> (usize, Vec<String>) {
        let holder = locking::direct(&self.server).spawn(&format!(
            "{SIDE} session_id('{sid}'); session_start(); tell('held'); await('go');"
        ));
        wait_for(&self.server, "held");
        assert!(self.server.keys().contains(&lock_key(sid)));
        self.proxy.reset();
        thread::scope(|scope| {
            let visit = scope.spawn(|| self.site.visit(sid, code).ok());
            wait_until("the visit waits", || waiting(&self.server) == 1);
            thread::sleep(hold);
            tell(&self.server, "go");
            visit.join().unwrap();
        });
        holder.wait().ok();
        (self.proxy.round_trips(), self.proxy.command_names())
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
        fixture.assert_cost("", CHANGE, 2, "EVALSHA GET EVALSHA");
        fixture.assert_cost("", LOOK, 2, "EVALSHA GET EVALSHA");
    }
}

#[test]
fn an_id_that_nobody_knows_costs_two_and_three_where_strict_mode_replaces_it() {
    lenient().assert_cost("unknown", CHANGE, 2, "EVALSHA GET EVALSHA");
    strict().assert_cost("unknown", CHANGE, 3, "EVALSHA GET EVALSHA GET EVALSHA");
}

#[test]
fn a_known_session_costs_two_changed_or_not_with_strict_mode_and_without() {
    for fixture in [lenient(), strict()] {
        fixture.assert_cost(SID, CHANGE, 2, "EVALSHA GET EVALSHA");
        fixture.assert_cost(SID, LOOK, 2, "EVALSHA GET EVALSHA");
    }
}

#[test]
fn a_large_session_costs_no_more_than_a_small_one() {
    for fixture in [lenient(), strict()] {
        let change = |cost, names| fixture.assert_cost(SID, CHANGE_MUCH, cost, names);
        change(3, "EVALSHA GET SETEX EVALSHA EVAL"); // the script is new to the server
        change(2, "EVALSHA GET SETEX EVALSHA");
        fixture.assert_cost(SID, LOOK, 2, "EVALSHA GET EVALSHA");
        fixture.assert_cost("", CHANGE_MUCH, 2, "EVALSHA GET SETEX EVALSHA");
        assert!(locking::stored(&fixture.server, SID).unwrap().len() > 100 << 10);
    }
}

#[test]
fn early_refresh_costs_nothing_more_and_lazy_write_off_neither() {
    let early = site(&[("redis.session.early_refresh", "1")]);
    early.assert_cost(SID, CHANGE, 2, "EVALSHA GET EVALSHA");
    early.assert_cost(SID, LOOK, 2, "EVALSHA GET EVALSHA");
    early.assert_cost(SID, READ, 1, "EVALSHA GET");
    let eager = site(&[("session.lazy_write", "0")]);
    eager.assert_cost(SID, LOOK, 2, "EVALSHA GET EVALSHA");
}

#[test]
fn reading_alone_costs_one_and_takes_no_lock() {
    for fixture in [lenient(), strict()] {
        fixture.assert_cost(SID, READ, 1, "EVALSHA GET");
        let read_only = format!("ini_set('redis_session.read_only', '1'); {LOOK} session_abort();");
        fixture.assert_cost(SID, &read_only, 1, "EVALSHA GET");
    }
}

#[test]
fn an_abort_costs_two_as_the_lock_is_released() {
    for fixture in [lenient(), strict()] {
        fixture.assert_cost(SID, &format!("{CHANGE} session_abort();"), 2, "EVALSHA GET EVALSHA");
    }
}

#[test]
fn a_reset_costs_one_more_and_keeps_the_lock() {
    for fixture in [lenient(), strict()] {
        let code = format!("{CHANGE} session_reset(); $_SESSION['m'] = 1;");
        fixture.assert_cost(SID, &code, 3, "EVALSHA GET EVALSHA GET EVALSHA");
        let stored = locking::stored(&fixture.server, SID).unwrap();
        assert!(stored.ends_with("m|i:1;"), "{stored}");
    }
}

#[test]
fn a_logout_costs_two() {
    for fixture in [lenient(), strict()] {
        fixture.assert_cost(SID, "session_start(); session_destroy();", 2, "EVALSHA GET EVALSHA");
        assert!(locking::stored(&fixture.server, SID).is_none());
    }
}

#[test]
fn a_new_id_for_a_session_costs_four_in_all() {
    for fixture in [lenient(), strict()] {
        for delete in ["false", "true"] {
            let code = format!("{CHANGE} session_regenerate_id({delete});");
            fixture.assert_cost(SID, &code, 4, "EVALSHA GET EVALSHA EVALSHA GET EVALSHA");
            store(&fixture.server, SID, "n|i:1;");
        }
    }
}

#[test]
fn a_page_without_a_session_costs_nothing() {
    lenient().assert_cost(SID, "echo 'hello';", 0, "");
}

#[test]
fn a_session_that_vanished_under_way_costs_no_more_and_stays_away() {
    let fixture = lenient();
    let code = format!("{SIDE} session_start(); side_in(0, 'DEL', '{}');", locking::key(SID));
    fixture.assert_cost(SID, &code, 2, "EVALSHA GET EVALSHA");
    assert!(locking::stored(&fixture.server, SID).is_none());
    for change in [CHANGE, CHANGE_MUCH] {
        store(&fixture.server, SID, "n|i:1;");
        fixture.site.visit(SID, change).ok();
        fixture.proxy.reset();
        let changed = fixture.site.visit(SID, &format!("{code} {}", &change[START.len()..]));
        assert!(changed.warning().contains("its changes are lost"), "{}", changed.body);
        assert_eq!(fixture.proxy.round_trips(), 2);
        assert_eq!(fixture.server.keys(), [""; 0]);
    }
}

#[test]
fn a_session_of_which_little_time_is_left_is_kept_at_no_cost() {
    for fixture in [lenient(), strict()] {
        let lives = |seconds: u32| {
            let mut client = fixture.server.client();
            redis::cmd("EXPIRE").arg(locking::key(SID)).arg(seconds).exec(&mut client).unwrap();
        };
        lives(5);
        fixture.assert_cost(SID, &format!("{LOOK} session_abort();"), 2, "EVALSHA GET EVALSHA");
        let left = |fixture: &Fixture| -> i64 {
            redis::cmd("TTL").arg(locking::key(SID)).query(&mut fixture.server.client()).unwrap()
        };
        assert!(left(&fixture) > 1400);
        lives(5);
        fixture.assert_cost(SID, READ, 1, "EVALSHA GET");
        assert!(left(&fixture) <= 5, "who only reads does not keep it");
    }
}

#[test]
fn a_server_that_forgot_a_script_costs_one_more_for_that_script_and_only_once() {
    let fixture = lenient();
    redis::cmd("SCRIPT").arg("FLUSH").exec(&mut fixture.server.client()).unwrap();
    fixture.assert_cost(SID, READ, 2, "EVALSHA GET EVAL GET");
    fixture.assert_cost(SID, READ, 1, "EVALSHA GET");
    fixture.assert_cost(SID, CHANGE, 4, "EVALSHA GET EVAL GET EVALSHA EVAL");
    fixture.assert_cost(SID, CHANGE, 2, "EVALSHA GET EVALSHA");
}

#[test]
fn a_lock_that_is_waited_for_costs_three_however_long_it_is_held() {
    for fixture in [lenient(), strict()] {
        for hold in [Duration::from_millis(100), Duration::from_secs(3)] {
            let (round_trips, names) = fixture.contend(SID, CHANGE, hold);
            assert_eq!(names.join(" "), "EVALSHA GET BLPOP EVALSHA GET EVALSHA", "{hold:?}");
            assert_eq!(round_trips, 4, "three, and the write: {hold:?}");
            assert_eq!(fixture.proxy.connections(), 0, "the wait takes no connection of its own");
            assert_eq!(fixture.server.keys(), [locking::key(SID)]);
        }
        let (round_trips, names) = fixture.contend(SID, READ, Duration::from_millis(100));
        assert_eq!((round_trips, &*names.join(" ")), (3, "EVALSHA GET BLPOP EVALSHA GET"));
        assert_eq!(fixture.server.keys(), [locking::key(SID)]);
    }
}

#[test]
fn reading_without_waiting_costs_one_while_another_holds_the_lock() {
    let fixture = site(&[("redis_session.read_only_wait", "0")]);
    locking::lock_as_another(&fixture.server, SID, 60_000);
    fixture.proxy.reset();
    fixture.site.visit(SID, READ).ok();
    assert_eq!(
        (fixture.proxy.round_trips(), &*fixture.proxy.command_names().join(" ")),
        (1, "GET")
    );
}

#[test]
fn a_new_connection_costs_exactly_one_more() {
    let fixture = lenient();
    fixture.site.fpm.kill_child(fixture.site.pid());
    fixture.proxy.reset();
    fixture.site.visit(SID, CHANGE).ok();
    assert_eq!(fixture.proxy.command_names().join(" "), "HELLO EVALSHA GET EVALSHA");
    assert_eq!((fixture.proxy.round_trips(), fixture.proxy.connections()), (3, 1));
}
