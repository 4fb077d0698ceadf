//! Beside Debian's php-redis: the same keys on the same servers, the same
//! bytes and the same lifetime, whichever of the two served the request.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use crate::support::php::Php;
use crate::support::servers::{Options, RedisServer};
use crate::support::site;

/// Everything a server holds: key, bytes, seconds to live.
type Contents = Vec<(String, Vec<u8>, i64)>;

/// phpredis' own session handler; none, and a word about it, where it is not
/// installed.
fn phpredis(save_path: &str) -> Option<Php> {
    let php = Php::without_extension().phpredis_after();
    let found = php.run("echo extension_loaded('redis') ? 'yes' : 'no';").stdout;
    if !found.ends_with("yes") {
        crate::support::skip("php-redis is not installed: nothing to compare with");
        return None;
    }
    Some(php.ini("session.save_handler", "redis").ini("session.save_path", save_path))
}

fn contents(server: &RedisServer, database: u8) -> Contents {
    let mut client = server.client();
    redis::cmd("SELECT").arg(database).exec(&mut client).unwrap();
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut client).unwrap();
    keys.sort_unstable();
    let entry = |key: String| {
        let bytes = redis::cmd("GET").arg(&key).query(&mut client).unwrap();
        let ttl = redis::cmd("TTL").arg(&key).query(&mut client).unwrap();
        (key, bytes, ttl)
    };
    keys.into_iter().map(entry).collect()
}

fn flush(server: &RedisServer) {
    redis::cmd("FLUSHALL").exec(&mut server.client()).unwrap();
}

/// Equal, but for a second that may have passed.
#[track_caller]
fn assert_same(ours: &Contents, theirs: &Contents) {
    let without_ttl = |all: &Contents| -> Vec<(String, Vec<u8>)> {
        all.iter().map(|(key, bytes, _)| (key.clone(), bytes.clone())).collect()
    };
    assert_eq!(without_ttl(ours), without_ttl(theirs));
    for (one, other) in ours.iter().zip(theirs) {
        assert!(
            one.2 > 0 && (one.2 - other.2).abs() <= 1,
            "TTL of {}: {} {}",
            one.0,
            one.2,
            other.2
        );
    }
}

const STORE: &str = "session_id('drop-in');
    session_start(['gc_maxlifetime' => 77]);
    $_SESSION = ['n' => 1, 'text' => \"\\xc3\\xbc|;\\0\\n\", 'list' => [1.5, null, ['k' => true]],
                 'object' => new ArrayObject(['x'])];";

#[test]
fn keys_bytes_and_lifetime_are_the_same_for_each_form_of_save_path() {
    let options = Options { requirepass: Some("secret".into()), ..Options::default() };
    let server = RedisServer::start(options);
    let (addr, socket) = (server.addr(), server.socket().display().to_string());
    for (save_path, database, key) in [
        (format!("tcp://{addr}?auth=secret"), 0, "PHPREDIS_SESSION:drop-in"),
        (format!("tcp://{addr}?auth=secret&prefix=app:"), 0, "app:drop-in"),
        (format!("tcp://{addr}?auth[]=secret&database=2&prefix=a%20b_"), 2, "a b_drop-in"),
        (
            format!("tcp://{addr}?auth[]=default&auth[]=secret&timeout=2.5&weight=3"),
            0,
            "PHPREDIS_SESSION:drop-in",
        ),
        (format!("unix://{socket}?auth=secret&database=3"), 3, "PHPREDIS_SESSION:drop-in"),
        (format!("  tcp://{addr}?auth=secret&persistent=1  "), 0, "PHPREDIS_SESSION:drop-in"),
    ] {
        let Some(phpredis) = phpredis(&save_path) else { return };
        phpredis.run(STORE).ok();
        let theirs = contents(&server, database);
        flush(&server);
        site::php(&save_path).run(STORE).ok();
        let ours = contents(&server, database);
        flush(&server);
        assert_eq!(ours.len(), 1, "{save_path}");
        assert_eq!(ours[0].0, key, "{save_path}");
        assert!((76..=77).contains(&ours[0].2), "{ours:?}");
        assert_same(&ours, &theirs);
    }
}

#[test]
fn a_visitor_may_meet_either_at_each_request() {
    let server = RedisServer::start(Options::default());
    let save_path = format!("tcp://{}?prefix=fleet:", server.addr());
    let Some(theirs) = phpredis(&save_path) else { return };
    let ours = site::php(&save_path);
    let count =
        "session_id('drop-in'); session_start(); echo $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);";
    for visit in 1..=6 {
        let php = if visit % 2 == 0 { &ours } else { &theirs };
        assert_eq!(php.run(count).ok(), visit.to_string());
    }
}

#[test]
fn every_serializer_s_bytes_are_the_same() {
    let server = RedisServer::start(Options::default());
    let save_path = format!("tcp://{}", server.addr());
    for serializer in ["php", "php_binary", "php_serialize", "igbinary"] {
        let Some(theirs) = phpredis(&save_path) else { return };
        let theirs = theirs.ini("session.serialize_handler", serializer);
        let ours = site::php(&save_path).extension("igbinary");
        let ours = ours.ini("session.serialize_handler", serializer);
        theirs.run(STORE).ok();
        let expected = contents(&server, 0);
        let read = "session_id('drop-in'); session_start(); echo serialize($_SESSION);";
        assert_eq!(ours.run(read).ok(), theirs.run(read).ok());
        flush(&server);
        ours.run(STORE).ok();
        assert_same(&contents(&server, 0), &expected);
        flush(&server);
    }
}

/// Runs the same code with each, and compares what is left in the server. The
/// ids that PHP makes up are cut off the keys.
#[track_caller]
fn assert_same_effect(code: &str) {
    let server = RedisServer::start(Options::default());
    let save_path = format!("tcp://{}", server.addr());
    let Some(theirs) = phpredis(&save_path) else { return };
    let left = |php: &Php| {
        let output = php.run(code).ok();
        let mut left = contents(&server, 0);
        flush(&server);
        for (key, ..) in &mut left {
            if !key.contains("drop-in") {
                key.truncate("PHPREDIS_SESSION:".len());
            }
        }
        left.sort();
        (output, left)
    };
    let (ours, theirs) = (left(&site::php(&save_path)), left(&theirs));
    assert_eq!(ours.0, theirs.0, "{code}");
    assert_same(&ours.1, &theirs.1);
}

#[test]
fn each_step_of_a_session_s_life_has_the_same_effect() {
    for steps in [
        "",
        "session_write_close(); session_start(); $_SESSION['n']++;",
        "session_write_close(); session_start();",
        "session_write_close(); session_start(['read_and_close' => true]); echo $_SESSION['n'];",
        "session_abort();",
        "session_write_close(); session_start(); $_SESSION['n'] = 9; session_abort();",
        "session_write_close(); session_start(); $_SESSION['n'] = 9; session_reset(); echo $_SESSION['n'];",
        "session_regenerate_id(false); $_SESSION['n']++;",
        "session_regenerate_id(true); $_SESSION['n']++;",
        "session_write_close(); session_start(); session_regenerate_id(true);",
        "session_destroy();",
        "session_write_close(); session_start(); var_dump(session_destroy());",
        "session_unset();",
        "session_write_close(); session_id('other-drop-in'); session_start(); $_SESSION['m'] = 2;",
        "session_write_close(); session_start(['lazy_write' => 0, 'gc_maxlifetime' => 33]);",
        "session_write_close(); session_start(['gc_maxlifetime' => 33]);",
    ] {
        assert_same_effect(&format!("ob_start(); {STORE} {steps}"));
    }
}

#[test]
fn an_id_that_the_visitor_made_up_has_the_same_effect() {
    for strict in [0, 1] {
        assert_same_effect(&format!(
            "ob_start(); ini_set('session.use_strict_mode', '{strict}'); {STORE}
             echo session_id() === 'drop-in' ? 'kept' : 'replaced';"
        ));
    }
}

#[test]
fn an_empty_session_is_stored_by_both() {
    assert_same_effect("ob_start(); session_id('drop-in'); session_start();");
}

#[test]
fn both_choose_the_same_server_for_each_id() {
    let servers: Vec<RedisServer> =
        (0..3).map(|_| RedisServer::start(Options::default())).collect();
    for weights in [[1, 1, 1], [1, 2, 2], [5, 1, 3]] {
        let parts: Vec<String> = servers
            .iter()
            .zip(weights)
            .map(|(server, weight)| format!("tcp://{}?weight={weight}&timeout=2.5", server.addr()))
            .collect();
        let save_path = parts.join(", ");
        let Some(theirs) = phpredis(&save_path) else { return };
        // 50 that PHP makes up and some of an application's own.
        let made = "for ($i = 0; $i < 50; $i++) echo session_create_id(), ' ';";
        let made = Php::without_extension().run(made).ok();
        let ids = format!("{made} user:4711 a,b-c,d {{tag}}x \u{fc}ml\u{e4}ut \u{ff}\u{ff}\u{ff}");
        let store = format!(
            "foreach (explode(' ', '{ids}') as $id) if ($id !== '') {{
                 session_id($id); session_start(); $_SESSION['id'] = $id; session_write_close();
             }}"
        );
        let placed = |php: &Php| -> Vec<Vec<String>> {
            php.clone()
                .ini("session.use_strict_mode", "0")
                .run(&format!("ob_start(); {store}"))
                .ok();
            let keys = servers.iter().map(RedisServer::keys).collect();
            servers.iter().for_each(flush);
            keys
        };
        let ours = placed(&site::php(&save_path));
        assert_eq!(ours.iter().map(Vec::len).sum::<usize>(), 55, "{weights:?}");
        assert!(ours.iter().all(|keys| !keys.is_empty()), "{ours:?}");
        assert_eq!(ours, placed(&theirs), "{weights:?}");
    }
}

#[test]
fn with_both_loaded_redis_is_phpredis_and_redis_session_is_ours() {
    let server = RedisServer::start(Options::default());
    let save_path = format!("tcp://{}", server.addr());
    if phpredis(&save_path).is_none() {
        return;
    }
    let ours = Php::new().ini("session.save_path", &save_path);
    for php in [ours.clone().phpredis_before(), ours.phpredis_after()] {
        // CLIENT LIST names our connections and not those of phpredis.
        let code = format!(
            "foreach (['redis', 'redis_session'] as $handler) {{
                 ini_set('session.save_handler', $handler);
                 session_id('drop-in'); session_start();
                 $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);
                 $s = stream_socket_client('unix://{}');
                 fwrite($s, \"CLIENT LIST\\r\\nQUIT\\r\\n\");
                 $ours = str_contains(stream_get_contents($s), 'name=redis_session ');
                 echo $handler, $ours ? ' ours ' : ' theirs ', $_SESSION['n'], '; ';
                 session_write_close();
             }}",
            server.socket().display()
        );
        let output = php.run(&format!("ob_start(); {code}")).ok();
        assert_eq!(output, "redis theirs 1; redis_session ours 2; ");
        flush(&server);
    }
}
