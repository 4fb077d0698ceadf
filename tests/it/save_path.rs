//! What is said of a save path that PHP, or whoever wrote it, has spoiled.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use crate::support::php::Php;
use crate::support::servers::{Options, RedisServer};
use crate::support::site::{php, warnings};
use tempfile::TempDir;

const START: &str = "var_dump(session_start());";

/// The only warning of ours.
#[track_caller]
fn warning(php: &Php) -> String {
    let output = php.run(START);
    assert!(output.stdout.contains("bool(false)"), "{output:?}");
    let mut ours = warnings(&output.stdout);
    assert_eq!(ours.len(), 1, "{output:?}");
    ours.remove(0)
}

#[test]
fn a_value_that_php_cut_at_its_equals_sign_asks_for_the_quotes() {
    for value in [
        "tcp://127.0.0.1:1?auth=secret",
        "tcp://127.0.0.1:1?database=2&auth=secret",
        "seed[]=127.0.0.1:1",
    ] {
        let unquoted = php("").ini_raw("session.save_path", value);
        let warning = warning(&unquoted);
        assert!(
            warning
                .contains("has no value: put double quotes around the value of session.save_path"),
            "{value}: {warning}"
        );
        assert!(!warning.contains("secret"), "{warning}");
    }
}

#[test]
fn a_directory_is_said_to_be_that_of_files() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().display().to_string();
    for value in [&path, &format!("5;0600;{path}"), &format!("2;{path}"), &format!("unix://{path}")]
    {
        let warning = warning(&php(value));
        assert!(
            warning.contains("this is a directory, as for session.save_handler = files"),
            "{value}: {warning}"
        );
    }
    let cut = php("").ini_raw("session.save_path", &format!("5;0600;{path}"));
    let warning = warning(&cut);
    assert!(
        warning.contains("this is a directory, as for session.save_handler = files"),
        "{warning}"
    );
}

#[test]
fn what_phpredis_does_is_told_only_where_it_is_loaded() {
    let path = "tcp://127.0.0.1:1/2";
    let alone = warning(&php(path));
    assert!(alone.contains("?database=2") && !alone.contains("phpredis"), "{alone}");
    let beside = Php::new()
        .phpredis_after()
        .ini("session.save_handler", "redis_session")
        .ini("session.save_path", path);
    let beside = warning(&beside);
    assert!(beside.contains("phpredis ignores /2 here: write ?database=2"), "{beside}");
}

#[test]
fn an_ipv6_address_is_taken_without_brackets_as_phpredis_takes_it() {
    let server = RedisServer::start(Options {
        config: vec!["bind 127.0.0.1 ::1".into()],
        ..Options::default()
    });
    for scheme in ["tcp://", "redis://", ""] {
        let path = format!("{scheme}::1:{}", server.port());
        assert_eq!(php(&path).run("session_start(); echo 'works';").ok(), "works", "{path}");
    }
}

#[test]
fn a_new_save_path_that_open_basedir_refuses_is_shown_without_its_password() {
    let code = "ob_start(); ini_set('session.save_path', 'tcp://h?timeout=1&auth=hunter2'); \
                ini_set('session.save_path', 'redis://u:hun;hunter2@h'); \
                session_save_path('redis://u:hunter2@h'); echo error_get_last()['message'];";
    for handler in ["redis", "files"] {
        let php = Php::new().ini("session.save_handler", handler).ini("open_basedir", "/nowhere");
        let output = php.ini("html_errors", "0").run(code);
        let shown = output.stdout.matches("open_basedir restriction").count();
        assert!(shown == 4 && !output.stdout.contains("hunter2"), "{output:?}");
        assert!(output.stdout.contains("File(tcp://h?timeout=1&auth=***)"), "{output:?}");
    }
}
