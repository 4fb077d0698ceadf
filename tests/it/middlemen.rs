//! Servers and proxies that do not know our first words are logged in to with
//! fewer words; a refused password stays refused.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use crate::support::middlemen::Middleman;
use crate::support::proxy::RecordingProxy;
use crate::support::scripted::ScriptedServer;
use crate::support::servers::{Options, RedisServer};
use crate::support::site::{Site, php, warnings};

const COUNT: &str = "session_start(); echo $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);";

fn server() -> RedisServer {
    RedisServer::start(Options::default())
}

/// Visitors who come again and again, with and without locking.
#[track_caller]
fn assert_serves(save_path: &str) {
    for locking in ["0", "1"] {
        let site = Site::start(&php(save_path).ini("redis.session.locking_enabled", locking));
        for n in 1..=3 {
            for visitor in ["alice", "bob"] {
                let sid = format!("{visitor}{locking}");
                assert_eq!(site.visit(&sid, COUNT).ok(), n.to_string(), "locking {locking}");
            }
        }
        let long = "session_start(); $_SESSION['x'] = str_repeat('x', 100000);";
        site.visit("long", long).ok();
        assert_eq!(
            site.visit("long", "session_start(); echo strlen($_SESSION['x']);").ok(),
            "100000"
        );
        site.visit("long", "session_start(); session_regenerate_id(true);").ok();
        site.visit("alice", "session_start(); session_destroy();").ok();
        assert_eq!(site.visit("alice", COUNT).ok(), "1", "locking {locking}");
        site.visit("alice", "session_start(); session_destroy();").ok();
    }
}

#[test]
fn twemproxy_which_hangs_up_at_hello_serves_sessions() {
    let server = server();
    let Some(proxy) = Middleman::twemproxy(&server.addr(), None) else { return };
    assert_serves(&format!("tcp://{}", proxy.addr()));
    assert!(server.keys().iter().all(|key| !key.contains("_LOCK")), "{:?}", server.keys());
}

#[test]
fn twemproxy_with_a_password_takes_that_one_alone() {
    let server = RedisServer::start(Options {
        requirepass: Some("right-1f0b".into()),
        ..Options::default()
    });
    let Some(proxy) = Middleman::twemproxy(&server.addr(), Some("right-1f0b")) else { return };
    assert_serves(&format!("tcp://{}?auth=right-1f0b", proxy.addr()));
    for auth in ["?auth=wrong-93aa", "?auth[]=right-1f0b&auth[]=wrong-93aa", ""] {
        let output = php(&format!("tcp://{}{auth}", proxy.addr()))
            .run("session_id('x'); var_dump(session_start());");
        assert!(output.stdout.contains("bool(false)"), "{auth}: {output:?}");
        let ours = warnings(&output.stdout);
        assert_eq!(ours.len(), 1, "{auth}: {output:?}");
        assert!(!ours[0].contains("wrong-93aa"), "{ours:?}");
    }
}

#[test]
fn what_a_proxy_does_not_take_is_said_to_it_only_once() {
    let server = server();
    let Some(twemproxy) = Middleman::twemproxy(&server.addr(), None) else { return };
    let proxy = RecordingProxy::start(twemproxy.addr());
    let site = Site::start(&php(&format!("tcp://{}?persistent=0", proxy.addr())));
    for (visit, connections) in [(1, 2), (2, 3), (3, 4)] {
        assert_eq!(site.visit("alice", COUNT).ok(), visit.to_string());
        assert_eq!(proxy.connections(), connections, "visit {visit}");
    }
}

#[test]
fn envoy_serves_sessions() {
    let server = server();
    let Some(proxy) = Middleman::envoy(&server.addr()) else { return };
    assert_serves(&format!("tcp://{}", proxy.addr()));
    assert!(server.keys().iter().all(|key| !key.contains("_LOCK")), "{:?}", server.keys());
}

type Words = Arc<Mutex<Vec<String>>>;

/// A server that answers so to HELLO and to AUTH, and what it was told.
fn answering(hello: &'static str, auth: &'static str) -> (ScriptedServer, Words) {
    let words = Words::default();
    let told = words.clone();
    let server = ScriptedServer::start(move |command| {
        let verb = command[0].to_uppercase();
        told.lock().unwrap().push(verb.clone());
        match verb.as_str() {
            "HELLO" => hello.as_bytes().to_vec(),
            "AUTH" => auth.as_bytes().to_vec(),
            "ROLE" | "CLIENT" => b"-ERR unknown command\r\n".to_vec(),
            "GET" => b"$6\r\nn|i:7;\r\n".to_vec(),
            _ => b"+OK\r\n".to_vec(),
        }
    });
    (server, words)
}

fn read(server: &ScriptedServer) -> String {
    php(&format!("tcp://127.0.0.1:{}?auth=password", server.port()))
        .run(
            "session_id('x'); session_start(['read_and_close' => true]); echo $_SESSION['n'] ?? 0;",
        )
        .stdout
}

#[test]
fn a_server_that_refuses_hello_for_any_reason_of_its_own_is_logged_in_to_plainly() {
    for refusal in [
        "-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'default' 'password'\r\n",
        "-ERR unsupported command\r\n",
        "-ERR syntax error in HELLO option 'SETNAME'\r\n",
        "-NOPROTO unsupported protocol version\r\n",
        "-NOPERM this user has no permissions to run the 'hello' command\r\n",
        "-DISABLED this command is not available here\r\n",
    ] {
        let (server, words) = answering(refusal, "+OK\r\n");
        assert_eq!(read(&server), "7", "{refusal}");
        assert!(words.lock().unwrap().contains(&"AUTH".to_owned()), "{refusal}");
    }
}

#[test]
fn a_refused_password_is_not_tried_in_another_way() {
    for refusal in [
        "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
        "-ERR invalid password\r\n",
        "-NOAUTH Authentication required.\r\n",
    ] {
        let (server, words) = answering(refusal, "+OK\r\n");
        assert!(read(&server).contains("refused the login"), "{refusal}");
        assert_eq!(*words.lock().unwrap(), ["HELLO"], "{refusal}");
    }
    // Plainly is not without.
    let (server, _) = answering("-ERR unknown command\r\n", "-ERR invalid password\r\n");
    assert!(read(&server).contains("refused the login"));
}
