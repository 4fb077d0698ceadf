//! The log: what happened, to whom, how long it took. Never whose session it
//! was, what is in it, or how to get in.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use crate::support::fpm::Fpm;
use crate::support::php::Php;
use crate::support::servers::{Options, RedisServer};
use crate::support::site::{Site, php, warnings};
use tempfile::TempDir;

const SID: &str = "sid-5e0c1d";
const DATA: &str = "data-93ab77";
const PASSWORD: &str = "password-1f2e3d";

fn server() -> RedisServer {
    RedisServer::start(Options { requirepass: Some(PASSWORD.into()), ..Options::default() })
}

fn logging(server: &RedisServer, target: &str, level: &str) -> Php {
    php(&format!("tcp://{}?auth={PASSWORD}", server.addr()))
        .ini("redis_session.log", target)
        .ini("redis_session.log_level", level)
}

/// A session's whole life.
fn life() -> String {
    format!(
        "ob_start(); session_id('{SID}'); session_start(); $_SESSION['d'] = '{DATA}';
         session_write_close(); session_start(); session_write_close();
         session_start(); session_destroy();"
    )
}

#[track_caller]
fn assert_tells_no_secret(log: &str) {
    for secret in [SID, DATA, PASSWORD] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[track_caller]
fn assert_tells_the_life(log: &str, server: &RedisServer) {
    let host = format!("host={}", server.addr());
    assert!(log.lines().any(|line| line.contains("connected") && line.contains(&host)), "{log}");
    let bytes = format!("d|s:{}:\"{DATA}\";", DATA.len()).len();
    let events: Vec<&str> = log.lines().filter(|line| line.contains("operation=")).collect();
    let expected = [
        ("read", 0),
        ("write", bytes),
        ("read", bytes),
        ("touch", 0),
        ("read", bytes),
        ("destroy", 0),
    ];
    assert_eq!(events.len(), expected.len(), "{log}");
    for (event, (operation, bytes)) in events.into_iter().zip(expected) {
        for part in [
            &format!("operation=\"{operation}\""),
            &host,
            &format!("bytes={bytes} "),
            "outcome=\"ok\"",
            "DEBUG",
        ] {
            assert!(event.contains(part), "{part} in {event}");
        }
        let us = event.split(" us=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        assert!((1..5_000_000).contains(&us.parse::<u64>().unwrap()), "{event}");
    }
    assert_tells_no_secret(log);
}

#[test]
fn a_file_gets_each_operation_without_a_secret() {
    let server = server();
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("session.log");
    let output = logging(&server, file.to_str().unwrap(), "debug").run(&life());
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    assert_tells_the_life(&fs::read_to_string(&file).unwrap(), &server);
}

#[test]
fn stderr_gets_the_same() {
    let server = server();
    let output = logging(&server, "stderr", "debug").run(&life());
    assert_eq!(output.stdout, "");
    assert_tells_the_life(&output.stderr, &server);
}

#[test]
fn even_the_finest_level_tells_no_secret() {
    let server = server();
    let output = logging(&server, "stderr", "trace").run(&life());
    assert!(output.stderr.contains("operation="), "{output:?}");
    assert_tells_no_secret(&output.stderr);
}

#[test]
fn a_failure_is_logged_with_its_reason_and_without_a_secret() {
    let mut server = server();
    let wrong = php(&format!("tcp://{}?auth=not-{PASSWORD}", server.addr()))
        .ini("redis_session.log", "stderr")
        .ini("redis_session.log_level", "warn");
    let log = wrong.run(&life()).stderr;
    assert!(log.contains("WARN") && log.contains("WRONGPASS"), "{log}");
    assert_tells_no_secret(&log);
    let php = logging(&server, "stderr", "warn");
    server.kill();
    let log = php.run(&life()).stderr;
    assert!(log.contains("WARN") && log.contains("refused"), "{log}");
    assert!(log.contains(&server.addr()), "{log}");
    assert_tells_no_secret(&log);
}

#[test]
fn the_level_decides_what_is_logged() {
    let server = server();
    let log = |level: &str| logging(&server, "stderr", level).run(&life()).stderr;
    assert_eq!(log("warn"), "");
    let info = log("info");
    assert!(info.contains("connected") && !info.contains("operation="), "{info}");
}

/// The only file that the test expects is the one it makes itself.
fn files(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[test]
fn nothing_is_logged_unless_both_target_and_level_are_set() {
    let server = server();
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("session.log").display().to_string();
    let plain = php(&format!("tcp://{}?auth={PASSWORD}", server.addr()));
    for php in [
        plain.clone(),
        plain.clone().ini("redis_session.log", &file),
        plain.clone().ini("redis_session.log", &file).ini("redis_session.log_level", "off"),
        plain.clone().ini("redis_session.log_level", "debug"),
    ] {
        let output = php.run(&life());
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
        assert_eq!(files(dir.path()), 0);
    }
}

#[test]
fn a_log_that_cannot_be_written_is_one_warning_and_sessions_work() {
    let server = server();
    let path = "/no/such/directory/session.log";
    let site = Site::start(&logging(&server, path, "debug"));
    let count = "session_start(); echo $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);";
    let first = site.visit(SID, count);
    assert!(first.warning().contains(path), "{}", first.warning());
    assert!(first.warning().contains("create its folder"), "{}", first.warning());
    assert!(first.body.ends_with('1'), "{}", first.body);
    // Once for a process, not once for a request.
    assert_eq!(site.visit(SID, count).ok(), "2");
    assert_eq!(site.visit(SID, count).ok(), "3");
}

#[test]
fn a_log_that_may_not_be_written_says_for_whom_it_must_be() {
    let server = server();
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("closed");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("session.log");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may open everything, and becomes a worker's user first.
    let code = "if (posix_geteuid() === 0) posix_setuid(posix_getpwnam('nobody')['uid']);
        session_start(); echo '(', posix_getpwuid(posix_geteuid())['name'], ')';";
    let output = logging(&server, path.to_str().unwrap(), "debug").extension("posix").run(code);
    let (_, user) = output.stdout.rsplit_once('(').unwrap();
    let said = format!("allow the user {} to write to it", user.trim_end_matches(')'));
    let ours = warnings(&output.stdout);
    assert!(ours.iter().any(|line| line.contains(&said)), "{said}: {output:?}");
}

#[test]
fn a_level_that_does_not_exist_is_one_warning_and_sessions_work() {
    let server = server();
    let output = logging(&server, "stderr", "loud")
        .run("session_id('a'); var_dump(session_start()); session_write_close(); session_start();");
    assert!(output.stdout.contains("bool(true)"), "{output:?}");
    let ours = warnings(&output.stdout);
    assert_eq!(ours.len(), 1, "{output:?}");
    assert!(ours[0].contains("'loud'") && ours[0].contains("debug"), "{ours:?}");
    assert_eq!(output.stderr, "");
}

#[test]
fn workers_share_a_file_and_mix_no_lines() {
    let server = server();
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("session.log");
    let fpm = Fpm::start(&logging(&server, file.to_str().unwrap(), "debug"), 3);
    fpm.script("count.php", "session_start(); $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);");
    thread::scope(|scope| {
        for visitor in 0..6 {
            let fpm = &fpm;
            scope.spawn(move || {
                for _ in 0..40 {
                    fpm.get("count.php", &format!("PHPSESSID=visitor{visitor}")).unwrap();
                }
            });
        }
    });
    let log = fs::read_to_string(&file).unwrap();
    let events: Vec<&str> = log.lines().filter(|line| line.contains("operation=")).collect();
    assert_eq!(events.len(), 6 * 40 * 2);
    for event in events {
        assert_eq!(event.matches("operation=").count(), 1, "{event}");
        assert!(event.ends_with("outcome=\"ok\""), "{event}");
    }
}

#[test]
fn a_script_cannot_redirect_the_log() {
    let server = server();
    let code = "var_dump(ini_set('redis_session.log', '/tmp/x'), ini_set('redis_session.log_level', 'trace'));";
    let output = logging(&server, "", "off").run(code);
    assert_eq!(output.stdout.matches("bool(false)").count(), 2, "{output:?}");
}
