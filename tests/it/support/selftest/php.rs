//! PHP runs with exactly the given settings, and never for ever.

use super::SECOND;
use crate::support::php::Php;
use crate::support::process::{alive, wait_until};
use tempfile::TempDir;

#[test]
fn settings_arrive_exactly_as_given() {
    let path = r#"tcp://h:1?auth[]=u&auth[]=p"w;#${HOME}\n=\\&database=3"#;
    let php = Php::without_extension().ini("session.save_path", path);
    let output = php.run("echo ini_get('session.save_path');");
    assert_eq!(output.ok(), path);
    let php = Php::without_extension().env("REDIS_URL", "redis://h/3");
    let php = php.ini_raw("session.save_path", "\"${REDIS_URL}\"");
    let output = php.run("echo ini_get('session.save_path');");
    assert_eq!(output.ok(), "redis://h/3");
}

#[test]
fn a_session_works_without_a_word_from_php() {
    let dir = TempDir::new().unwrap();
    let php = Php::without_extension().ini("session.save_path", dir.path().to_str().unwrap());
    let count =
        "session_id('abc'); session_start(); echo $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);";
    assert_eq!(php.run(count).ok(), "1");
    assert_eq!(php.run(count).ok(), "2");
    assert!(dir.path().join("sess_abc").exists());
}

#[test]
fn output_and_status_are_told_apart() {
    let output = Php::without_extension()
        .run("echo $undefined; fwrite(STDERR, 'err'); echo 'out'; exit(3);");
    assert!(output.stdout.contains("Warning: Undefined variable"));
    assert!(output.stdout.ends_with("out"));
    assert_eq!(output.stderr, "err");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn shared_extensions_and_phpredis_can_be_loaded() {
    let php = Php::without_extension().extension("posix").phpredis_after();
    let output =
        php.run("echo posix_getpid() > 0 ? 'yes' : 'no', class_exists('Redis') ? 'yes' : 'no';");
    assert_eq!(output.ok(), "yesyes");
}

#[test]
fn a_running_script_can_be_watched_and_killed() {
    let running = Php::without_extension().spawn("echo 'ready'; sleep(60);");
    wait_until("PHP runs", || running.stdout() == "ready");
    let output = running.kill();
    assert!(!output.status.success());
}

#[test]
fn a_script_does_not_leave_forked_children_behind() {
    let fork = "$pid = pcntl_fork(); if ($pid) echo $pid, '.'; sleep(60);";
    let running = Php::without_extension().spawn(fork);
    wait_until("PHP has forked", || running.stdout().ends_with('.'));
    let child = running.stdout().trim_end_matches('.').parse().unwrap();
    assert!(alive(child));
    drop(running);
    wait_until("the child is gone", || !alive(child));
}

#[test]
#[should_panic(expected = "PHP still runs")]
fn a_script_that_never_ends_is_killed() {
    let php = Php::without_extension().timeout(SECOND);
    php.run("while (true) sleep(1);");
}
