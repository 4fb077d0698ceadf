//! Servers, proxies and users that can do less than the queue for a lock takes:
//! sessions are locked all the same, and nothing is left behind.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::support::locking::{SID, key, server, stored};
use crate::support::middlemen::Middleman;
use crate::support::php::Php;
use crate::support::servers::RedisServer;
use crate::support::site;

/// What phpredis needs, and is often given.
const PHPREDIS: &str = "+get +setex +set +del +expire +exists +eval +evalsha";
const WORKERS: usize = 4;
const TIMES: usize = 10;

/// Lets a user of these permissions count in one session from several workers at
/// once, with as much data as is stored in one step and then as is staged.
#[track_caller]
fn count(server: &RedisServer, permissions: &str) {
    let mut user = redis::cmd("ACL");
    user.arg("SETUSER").arg("limited").arg("reset").arg("on").arg(">password");
    user.arg("~PHPREDIS*").arg(permissions.split(' ').collect::<Vec<_>>());
    user.exec(&mut server.client()).unwrap();
    let path = format!("tcp://{}?auth[]=limited&auth[]=password", server.addr());
    count_through(&path, server, permissions);
}

#[track_caller]
fn count_through(path: &str, server: &RedisServer, permissions: &str) {
    let php: Php = site::php(path)
        .ini("redis.session.locking_enabled", "1")
        .ini("redis.session.lock_retries", "1000");
    for size in [10, 5000] {
        let code = format!(
            "for ($n = 0; $n < {TIMES}; $n++) {{
                 session_id('visitor'); session_start();
                 $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
                 $_SESSION['x'] = str_repeat('x', {size});
                 usleep(2000); session_write_close();
             }}"
        );
        let workers: Vec<_> = (0..WORKERS).map(|_| php.spawn(&code)).collect();
        for worker in workers {
            assert_eq!(worker.wait().ok(), "", "{permissions}, {size} bytes");
        }
        assert_eq!(server.keys(), [key(SID)], "{permissions}, {size} bytes");
    }
    let data = stored(server, SID).unwrap();
    let counted = format!("n|i:{};", 2 * WORKERS * TIMES);
    assert!(data.starts_with(&counted), "{permissions}: {}", data.get(..20).unwrap());
}

#[test]
fn what_phpredis_needs_is_enough() {
    count(&server(), PHPREDIS);
}

#[test]
fn any_command_that_only_the_queue_needs_may_be_refused() {
    let all = "+@all -@admin";
    for command in ["blpop", "zadd", "zrange", "time", "pexpire", "rpush", "pttl", "zrangebyscore"]
    {
        count(&server(), &format!("{all} -{command}"));
    }
}

#[test]
fn a_proxy_without_blocking_commands_is_no_obstacle() {
    let servers = [server(), server()];
    let proxies =
        [Middleman::twemproxy(&servers[0].addr(), None), Middleman::envoy(&servers[1].addr())];
    for (server, proxy) in servers.iter().zip(proxies) {
        let Some(proxy) = proxy else { continue };
        count_through(&format!("tcp://{}", proxy.addr()), server, "a proxy");
    }
}

#[test]
fn scripts_are_sent_whole_where_their_digests_are_refused() {
    count(&server(), "+@all -@admin -evalsha");
}

#[test]
fn a_large_session_is_stored_where_keys_cannot_be_renamed() {
    count(&server(), "+@all -@admin -rename");
}

#[test]
fn a_server_that_cannot_wait_for_replicas_says_so_and_stores() {
    let server = server();
    let mut user = redis::cmd("ACL");
    user.arg(&["SETUSER", "limited", "reset", "on", ">password", "~PHPREDIS*", "+@all", "-wait"]);
    user.exec(&mut server.client()).unwrap();
    let path = format!("tcp://{}?auth[]=limited&auth[]=password", server.addr());
    let output = site::php(&path)
        .ini("redis_session.wait_replicas", "1")
        .run("session_id('visitor'); session_start(); $_SESSION['n'] = 1;");
    let output = output.ok();
    let text = "0 of 1 replicas confirmed it in time; the server answered WAIT with: NOPERM";
    assert!(output.contains(text), "{output}");
    assert_eq!(stored(&server, SID).unwrap(), "n|i:1;");
}

#[test]
fn without_scripts_locking_fails_with_a_message_that_names_them_and_leaves_nothing() {
    let server = server();
    let mut user = redis::cmd("ACL");
    user.arg(&["SETUSER", "limited", "reset", "on", ">password", "~PHPREDIS*"]);
    user.arg(&["+@all", "-@admin", "-eval", "-evalsha"]);
    user.exec(&mut server.client()).unwrap();
    let path = format!("tcp://{}?auth[]=limited&auth[]=password", server.addr());
    let visit = "session_id('visitor'); session_start(); $_SESSION['n'] = 1;";
    let locked = site::php(&path).ini("redis.session.locking_enabled", "1").run(visit).ok();
    assert!(locked.contains("'eval'"), "{locked}");
    assert!(server.keys().is_empty());
    assert_eq!(site::php(&path).run(visit).ok(), "");
    assert_eq!(server.keys(), [key(SID)]);
}
