//! Requests that PHP ends in the middle of a call of ours, or of a warning of
//! ours: the worker goes on, the session is whole, and its lock is released.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use std::fs;

use crate::support::locking::{SIDE, key, lock_as_another, php, server, store, stored};
use crate::support::servers::RedisServer;
use crate::support::site::Site;

/// More than PHP needs, less than a case does.
const LIMIT: &str = "ini_set('memory_limit', '6M');";
const BEFORE: &str = "a|i:1;";
const START: &str = "session_id('visitor'); session_start();";
const CHANGE: &str = "$_SESSION['a'] = 2;";
/// The lock was removed, so a write is refused with a warning.
const LOSE_LOCK: &str = "side_in(0, 'DEL', 'PHPREDIS_SESSION:visitor_LOCK');";
/// The server takes no writes, so the lock cannot be released.
const REFUSE: &str = "side_in(0, 'CONFIG', 'SET', 'min-replicas-to-write', 1);";
const FATAL_ON_WARNING: &str =
    "set_error_handler(function () { ini_set('memory_limit', '4M'); str_repeat('x', 1 << 28); });";
const EXIT_ON_WARNING: &str = "set_error_handler(function () { exit('gone'); });";

/// How a request ends, and what is stored afterwards.
struct Case {
    name: &'static str,
    code: String,
    ends_with: &'static str,
    stored: &'static [&'static str],
}

fn case(name: &'static str, parts: &[&str], ends_with: &'static str) -> Case {
    Case { name, code: parts.concat(), ends_with, stored: &[BEFORE] }
}

fn cases() -> Vec<Case> {
    let fatal = "Allowed memory size";
    let changed: &[&str] = &["a|i:2;"];
    let big = format!("{LIMIT} $_SESSION['b'] = str_repeat('x', 3 << 20); session_write_close();");
    let mut cases = vec![
        case("the data need too much memory to be written", &[START, &big], fatal),
        case(
            "a fatal error in the middle",
            &[START, CHANGE, "no_such_function();"],
            "no_such_function",
        ),
        case("an exit in the middle", &[START, CHANGE, "die('gone');"], "gone"),
        case("an uncaught exception", &[START, CHANGE, "throw new Exception('thrown');"], "thrown"),
    ];
    // PHP writes what there is at the end of such a request.
    cases.iter_mut().skip(1).for_each(|case| case.stored = changed);
    for (what, handler, end) in
        [("a fatal error", FATAL_ON_WARNING, fatal), ("an exit", EXIT_ON_WARNING, "gone")]
    {
        let when = |call: &str| -> &'static str { format!("{what} in a warning of {call}").leak() };
        // An error in place of data.
        let wrong_type = "session_id('list'); session_start();";
        cases.push(case(when("read"), &[handler, wrong_type], end));
        let write = [handler, START, CHANGE, LOSE_LOCK, "session_write_close();"];
        cases.push(case(when("write"), &write, end));
        let at_end = [handler, START, CHANGE, LOSE_LOCK, "return;"];
        cases.push(case(when("write, at the end"), &at_end, end));
        cases.push(case(when("close"), &[handler, START, REFUSE, "session_abort();"], end));
        let regenerate = [handler, START, REFUSE, "session_regenerate_id(true);"];
        cases.push(case(when("destroy"), &regenerate, end));
    }
    cases
}

fn redis(server: &RedisServer, words: &[&str]) {
    let (name, arguments) = words.split_first().unwrap();
    redis::cmd(name).arg(arguments).exec(&mut server.client()).unwrap();
}

fn reset(server: &RedisServer) {
    redis(server, &["CONFIG", "SET", "min-replicas-to-write", "0"]);
    redis(server, &["FLUSHALL"]);
    redis(server, &["RPUSH", &key("list"), "no session"]);
    store(server, "visitor", BEFORE);
}

fn site(server: &RedisServer) -> Site {
    Site::start(&php(server, &format!("tcp://{}", server.addr())).ini("memory_limit", "128M"))
}

/// No worker has died, and the next visitor is served.
#[track_caller]
fn assert_in_order(site: &Site, child: i32, what: &str) {
    let visit = site.visit("other", "session_start(); echo $_SESSION['n'] = 1;");
    assert!(visit.body == "1" && visit.warnings.is_empty(), "{what}: {visit:?}");
    assert_eq!(site.pid(), child, "{what}: the worker has died");
}

#[track_caller]
fn play(server: &RedisServer, site: &Site, child: i32, case: &Case) {
    let Case { name, code, ends_with, stored: expected } = case;
    reset(server);
    let body = site.visit("", &format!("{SIDE} {code} echo 'not reached';")).body;
    assert!(body.contains(ends_with), "{name}: {body:.900}");
    assert!(!body.contains("not reached") && !body.contains("panic"), "{name}: {body:.900}");
    let mut data = stored(server, "visitor").unwrap();
    // Memory is freed at the end of a request, which then writes all there is.
    data.truncate(data.find("b|s:3145728:").unwrap_or(data.len()));
    assert!(expected.contains(&data.as_str()), "{name}: {data:.300}");
    if !code.contains(REFUSE) {
        let keys = server.keys();
        assert!(!keys.iter().any(|key| key.contains("_LOCK")), "{name}: {keys:?}");
    }
    redis(server, &["CONFIG", "SET", "min-replicas-to-write", "0"]);
    assert_in_order(site, child, name);
}

#[test]
fn a_request_that_ends_in_the_middle_of_a_call_leaves_a_whole_session_and_no_lock() {
    let server = server();
    let site = site(&server);
    let child = site.pid();
    cases().iter().for_each(|case| play(&server, &site, child, case));
}

#[test]
fn a_time_limit_that_passes_during_a_wait_ends_no_worker() {
    let server = server();
    let php = php(&server, &format!("tcp://{}", server.addr()));
    let site = Site::start(&php.ini("redis.session.lock_retries", "60"));
    let child = site.pid();
    reset(&server);
    lock_as_another(&server, "visitor", 60_000);
    // What is waited for is no time of PHP's on most systems.
    let body = site.visit("", &format!("set_time_limit(1); {START}")).body;
    let waited = body.contains("Failed to acquire session lock");
    assert!(waited || body.contains("Maximum execution time"), "{body}");
    assert_in_order(&site, child, "a time limit");
    assert_eq!(stored(&server, "visitor").as_deref(), Some(BEFORE));
}

#[test]
fn a_thousand_requests_that_end_so_leave_nothing_in_the_worker() {
    let server = server();
    let site = site(&server);
    let child = site.pid();
    let cases = cases();
    let play_all = |times: usize| {
        cases.iter().cycle().take(times).for_each(|case| play(&server, &site, child, case));
    };
    play_all(300);
    let (before, files) = (anonymous_kib(child), files(child));
    play_all(700);
    let grown = anonymous_kib(child).saturating_sub(before);
    println!("{before} KiB after 300 requests, grown by {grown} KiB in 700 more");
    assert!(grown < 200, "grown by {grown} KiB from {before} KiB");
    assert!(self::files(child) <= files + 1, "{files} files");
}

/// Memory that is no file's.
fn anonymous_kib(pid: i32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn files(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}
