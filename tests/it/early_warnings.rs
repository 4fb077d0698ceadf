//! Warnings of a session that starts all the same, on a site that shows them
//! and buffers nothing: they come after the headers, and cost no cookie.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use crate::support::fastcgi::Response;
use crate::support::fpm::Fpm;
use crate::support::locking::{SID, lock_as_another, php, server, store};
use crate::support::php::Php;
use crate::support::servers::RedisServer;

const PAGE: &str =
    "$started = session_start(); header('X-Started: ' . var_export($started, true)); echo 'page';";

fn unbuffered(server: &RedisServer, query: &str) -> Php {
    php(server, &format!("tcp://{}{query}", server.addr()))
        .ini("output_buffering", "0")
        .ini("session.cache_limiter", "nocache")
        .ini("redis.session.lock_failure_readonly", "1")
        .ini("redis.session.lock_retries", "5")
}

fn visit(php: &Php, cookie: &str, code: &str) -> Response {
    let fpm = Fpm::start(php, 1);
    fpm.script("page.php", code);
    fpm.get("page.php", cookie).unwrap()
}

/// The session has started, with all headers, and then comes the warning.
#[track_caller]
fn assert_complete(response: &Response, warning: &str) {
    assert_eq!(response.header("X-Started"), Some("true"), "{response:?}");
    assert!(response.header("Cache-Control").is_some(), "{response:?}");
    assert!(!response.body.contains("headers"), "{response:?}");
    assert!(response.body.starts_with("page"), "{response:?}");
    assert!(response.body.contains(warning), "{response:?}");
}

const READ_ONLY: &str = "Failed to acquire session lock, session will be read only";

#[test]
fn a_missed_lock_lets_an_unbuffered_page_go_on_read_only() {
    for strict in ["0", "1"] {
        let server = server();
        store(&server, SID, "n|i:1;");
        lock_as_another(&server, SID, 60_000);
        let php = unbuffered(&server, "").ini("session.use_strict_mode", strict);
        let response = visit(&php, &format!("PHPSESSID={SID}"), PAGE);
        assert_complete(&response, READ_ONLY);
    }
}

#[test]
fn an_unknown_parameter_costs_no_cookie() {
    let server = server();
    let response = visit(&unbuffered(&server, "?wieght=2"), "", PAGE);
    assert_complete(&response, "unknown parameter 'wieght'");
    assert!(response.cookie("PHPSESSID").is_some(), "{response:?}");
}

#[test]
fn a_log_that_cannot_be_opened_costs_no_cookie() {
    let server = server();
    let php = unbuffered(&server, "")
        .ini("redis_session.log", "/nonexistent/log")
        .ini("redis_session.log_level", "debug");
    let response = visit(&php, "", PAGE);
    assert_complete(&response, "cannot open redis_session.log");
    assert!(response.cookie("PHPSESSID").is_some(), "{response:?}");
}

#[test]
fn a_script_that_handles_warnings_itself_gets_them_at_once() {
    let server = server();
    let handler =
        "set_error_handler(function ($level, $text) { header('X-Text: ' . $text); return true; });";
    let response = visit(&unbuffered(&server, "?wieght=2"), "", &format!("{handler} {PAGE}"));
    let text = response.header("X-Text").unwrap_or_default();
    assert!(text.contains("unknown parameter 'wieght'"), "{response:?}");
}

#[test]
fn a_warning_that_is_silenced_stays_silent() {
    let server = server();
    let response =
        visit(&unbuffered(&server, "?wieght=2"), "", "echo @session_start() ? 'on' : 'off';");
    assert_eq!(response.body, "on");
}

#[test]
fn a_session_that_does_not_start_says_why_at_once() {
    let server = server();
    lock_as_another(&server, SID, 60_000);
    let php = unbuffered(&server, "").ini("redis.session.lock_failure_readonly", "0");
    let response = visit(&php, &format!("PHPSESSID={SID}"), PAGE);
    let (warning, page) = (response.body.find("Failed to acquire"), response.body.find("page"));
    assert!(warning.is_some() && warning < page, "{response:?}");
}
