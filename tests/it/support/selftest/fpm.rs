//! php-fpm serves pages, and its children can be killed.

use crate::support::fpm::Fpm;
use crate::support::php::Php;
use crate::support::process::alive;
use tempfile::TempDir;

#[test]
fn a_page_counts_the_visits_of_a_cookie() {
    let dir = TempDir::new().unwrap();
    let php = Php::without_extension().ini("session.save_path", dir.path().to_str().unwrap());
    let fpm = Fpm::start(&php, 2);
    fpm.script(
        "counter.php",
        "session_start(); http_response_code(201);
         echo $_GET['greeting'], $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);",
    );
    let first = fpm.get("counter.php?greeting=hello", "").unwrap();
    assert_eq!((first.status, first.body.as_str()), (201, "hello1"));
    let cookie = format!("PHPSESSID={}", first.cookie("PHPSESSID").unwrap());
    let second = fpm.get("counter.php?greeting=hi", &cookie).unwrap();
    assert_eq!(second.body, "hi2");
    assert_eq!(second.cookie("PHPSESSID"), None);
    assert!(second.header("content-type").unwrap().starts_with("text/html"));
    let missing = fpm.get("missing.php", "").unwrap();
    assert_eq!(missing.status, 404);
}

#[test]
fn a_killed_child_is_replaced_and_all_are_gone_at_the_end() {
    let fpm = Fpm::start(&Php::without_extension(), 2);
    let before = fpm.pids();
    assert_eq!(before.len(), 2);
    fpm.kill_child(before[0]);
    let after = fpm.pids();
    assert_eq!(after.len(), 2);
    assert!(after.contains(&before[1]) && !after.contains(&before[0]));
    fpm.script("pid.php", "echo getmypid();");
    let pid = fpm.get("pid.php", "").unwrap().body.parse().unwrap();
    assert!(after.contains(&pid));
    drop(fpm);
    assert!(!after.into_iter().any(alive));
}

#[test]
fn a_child_that_dies_in_a_request_is_an_error() {
    let fpm = Fpm::start(&Php::without_extension().extension("posix"), 1);
    fpm.script("die.php", "posix_kill(getmypid(), 9);");
    assert!(fpm.get("die.php", "").is_err());
}
