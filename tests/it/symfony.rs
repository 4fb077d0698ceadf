//! Symfony's own session classes, as its documentation sets them up for a
//! handler of PHP's: `handler_id: null`, strict mode, locking on.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::path::Path;
use std::thread;

use crate::support::fpm::Fpm;
use crate::support::locking::{key, server, stored};
use crate::support::servers::RedisServer;
use crate::support::site;

/// Where Debian's php-symfony-http-foundation puts the classes.
const CLASSES: &str = "/usr/share/php/Symfony/Component/HttpFoundation/autoload.php";

/// One page: what it does is in the query. Prints id, count and user.
const PAGE: &str = r#"
    use Symfony\Component\HttpFoundation\Session\Session;
    use Symfony\Component\HttpFoundation\Session\Storage\NativeSessionStorage;
    set_error_handler(function ($level, $text) {
        if (error_reporting() & $level & ~E_DEPRECATED & ~E_USER_DEPRECATED) echo "[$text] ";
        return true;
    });
    ob_start();
    $session = new Session(new NativeSessionStorage());
    $session->start();
    $count = $session->get('count', 0) + 1;
    $session->set('count', $count);
    switch ($_GET['do'] ?? '') {
        case 'login':
            $session->migrate(true);
            $session->set('user', 'alice');
            break;
        case 'logout': $session->invalidate(); break;
    }
    usleep(1000 * (int) ($_GET['ms'] ?? 0));
    $id = $session->getId();
    $user = $session->get('user', '-');
    $session->save();
    echo "$id $count $user";
"#;

/// A site of four workers; none where Symfony is not installed.
fn start(server: &RedisServer) -> Option<Fpm> {
    if !Path::new(CLASSES).exists() {
        crate::support::skip(
            "Symfony is not installed (on Debian: apt-get install php-symfony-http-foundation)",
        );
        return None;
    }
    let php = site::php(&format!("tcp://{}", server.addr()))
        .ini("redis.session.locking_enabled", "1")
        .ini("redis.session.lock_retries", "1000")
        .ini("include_path", ".:/usr/share/php");
    let fpm = Fpm::start(&php, 4);
    fpm.script("page.php", &format!("require '{CLASSES}'; {PAGE}"));
    Some(fpm)
}

/// What a page said: id, count, user. Anything else it said fails the test.
#[track_caller]
fn visit(fpm: &Fpm, query: &str, id: &str) -> (String, u32, String) {
    let cookie = if id.is_empty() { String::new() } else { format!("PHPSESSID={id}") };
    let body = fpm.get(&format!("page.php?{query}"), &cookie).unwrap().body;
    let words: Vec<_> = body.split_whitespace().collect();
    match *words.as_slice() {
        [id, count, user] => (id.to_owned(), count.parse().expect(&body), user.to_owned()),
        _ => panic!("{body}"),
    }
}

#[test]
fn a_visitor_comes_back_logs_in_and_out_and_leaves_no_lock() {
    let server = server();
    let Some(fpm) = start(&server) else { return };
    let (id, count, _) = visit(&fpm, "", "");
    assert_eq!(count, 1);
    for expected in 2..5 {
        assert_eq!(visit(&fpm, "", &id), (id.clone(), expected, "-".into()));
    }
    let (member, count, user) = visit(&fpm, "do=login", &id);
    assert!(member != id);
    assert_eq!((count, &*user), (5, "alice"));
    assert_eq!(server.keys(), [key(&member)], "the old one is gone, and no lock is left");
    assert_eq!(visit(&fpm, "", &member), (member.clone(), 6, "alice".into()));
    let (guest, _, user) = visit(&fpm, "do=logout", &member);
    assert!(guest != member);
    assert_eq!(user, "-");
    assert!(stored(&server, &member).is_none());
    let (_, count, user) = visit(&fpm, "", &member);
    assert_eq!((count, &*user), (1, "-"), "who comes with the old id is nobody");
    assert!(server.keys().iter().all(|key| !key.contains("_LOCK")), "{:?}", server.keys());
}

#[test]
fn a_visitor_whose_session_has_expired_gets_a_new_one_that_stays() {
    let server = server();
    let Some(fpm) = start(&server) else { return };
    let (id, ..) = visit(&fpm, "", "");
    redis::cmd("DEL").arg(key(&id)).exec(&mut server.client()).unwrap();
    let (fresh, count, _) = visit(&fpm, "", &id);
    assert!(fresh != id);
    assert_eq!(count, 1);
    for expected in 2..5 {
        assert_eq!(visit(&fpm, "", &fresh), (fresh.clone(), expected, "-".into()));
    }
    assert_eq!(server.keys(), [key(&fresh)]);
}

#[test]
fn of_visits_at_once_none_is_lost_also_where_their_session_has_expired() {
    let server = server();
    let Some(fpm) = start(&server) else { return };
    let (id, ..) = visit(&fpm, "", "");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    visit(&fpm, "ms=5", &id);
                }
            });
        }
    });
    assert_eq!(visit(&fpm, "", &id).1, 22);
    redis::cmd("DEL").arg(key(&id)).exec(&mut server.client()).unwrap();
    let visits: Vec<_> = thread::scope(|scope| {
        let visits: Vec<_> = (0..4).map(|_| scope.spawn(|| visit(&fpm, "ms=5", &id).0)).collect();
        visits.into_iter().map(|visit| visit.join().unwrap()).collect()
    });
    for fresh in visits {
        assert_eq!(visit(&fpm, "", &fresh).1, 2, "each has a session of its own");
    }
    assert!(server.keys().iter().all(|key| !key.contains("_LOCK")), "{:?}", server.keys());
}
