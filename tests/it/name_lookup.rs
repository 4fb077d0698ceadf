//! Host names whose name servers do not answer, or answer late.
//!
//! PHP runs with an /etc/resolv.conf of its own here, which takes root.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::cluster::{ask, await_replicas};
use crate::support::php::Php;
use crate::support::servers::{Options, RedisServer};
use crate::support::site::php;
use tempfile::TempDir;

const NAME: &str = "redis.session.test";
/// What a name server says of a question: it was answered; no such name.
const NO_ERROR: u8 = 0;
const NO_SUCH_NAME: u8 = 3;

/// A name server that says nothing for the first `silence`, and then `late` of
/// what it was asked meanwhile. Each has an `address` of the loopback for itself.
fn name_server(address: &str, silence: Duration, late: u8) -> Option<UdpSocket> {
    name_server_of(address, silence, late, Arc::default())
}

/// The same; the name stands for 127.0.0.1, and later for that plus `moved`.
fn name_server_of(
    address: &str,
    silence: Duration,
    late: u8,
    moved: Arc<AtomicU8>,
) -> Option<UdpSocket> {
    let socket = UdpSocket::bind((address, 53)).ok()?;
    let server = socket.try_clone().unwrap();
    thread::spawn(move || {
        let mut packet = [0; 512];
        let mut heard: Option<Instant> = None;
        let mut waiting: Vec<(Vec<u8>, SocketAddr)> = Vec::new();
        server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        for _ in 0..400 {
            if let Ok((size, from)) = server.recv_from(&mut packet) {
                let silent = heard.get_or_insert_with(Instant::now).elapsed() <= silence;
                let code = if silent { late } else { NO_ERROR };
                let last = 1 + moved.load(Ordering::SeqCst);
                waiting.push((reply(&packet[..size], code, last), from));
            }
            if heard.is_some_and(|first| first.elapsed() > silence) {
                for (reply, from) in waiting.drain(..) {
                    server.send_to(&reply, from).unwrap();
                }
            }
        }
    });
    Some(socket)
}

/// With [`NO_ERROR`], 127.0.0.`last` for a question of type A, nothing for others.
fn reply(question: &[u8], code: u8, last: u8) -> Vec<u8> {
    // Ours holds one name, its type and its class behind the header.
    let name = question[12..].iter().position(|byte| *byte == 0).unwrap();
    let end = 12 + name + 5;
    let is_a = code == NO_ERROR && question[end - 4..end - 2] == [0, 1];
    let mut reply = question[..end].to_vec();
    reply[2..12].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, is_a.into(), 0, 0, 0, 0]);
    if is_a {
        // The name of the question, type A, class IN, 1 s, 4 bytes.
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, last]);
    }
    reply
}

/// Runs PHP with the name server at `address` alone; nothing where it cannot.
fn run(address: &str, save_path: &str, code: &str) -> Option<Output> {
    let (_dir, child) = spawn(address, &php(save_path), code);
    let output = child.wait_with_output().unwrap();
    (output.status.code() != Some(77)).then_some(output)
}

/// Starts it, with pipes for what it reads and prints.
fn spawn(address: &str, php: &Php, code: &str) -> (TempDir, Child) {
    let dir = TempDir::with_prefix("names-").unwrap();
    let conf = dir.path().join("resolv.conf");
    fs::write(&conf, format!("nameserver {address}\noptions timeout:5 attempts:2\n")).unwrap();
    let script = dir.path().join("test.php");
    fs::write(&script, format!("<?php\n{code}")).unwrap();
    let wrapper = dir.path().join("php");
    let real = std::env::var("TEST_PHP_EXECUTABLE").unwrap_or_else(|_| "php".to_owned());
    let conf = conf.display();
    fs::write(
        &wrapper,
        format!(
            "#!/bin/sh\nexec unshare --mount --propagation private sh -c \
             'mount --bind {conf} /etc/resolv.conf || exit 77; exec {real} \"$@\"' php \"$@\"\n"
        ),
    )
    .unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command: Command = php.command(&wrapper, dir.path(), "session.use_cookies = 0");
    command.arg(&script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    (dir, child)
}

#[test]
fn a_name_server_that_is_silent_costs_no_more_than_the_timeout_and_is_heard_when_it_speaks() {
    let address = "127.99.99.53";
    let Some(_names) = name_server(address, Duration::from_millis(1500), NO_ERROR) else {
        crate::support::skip("no name server of our own (it takes root)");
        return;
    };
    let server = RedisServer::start(Options::default());
    let addr = server.addr();
    let port = addr.rsplit(':').next().unwrap();
    let output = run(
        address,
        &format!("tcp://{NAME}:{port}?timeout=0.2"),
        r#"
        $attempts = $most = 0;
        $texts = [];
        set_error_handler(function ($level, $text) use (&$texts) { $texts[$text] = true; });
        do {
            $attempts++;
            session_id('names');
            $started = session_start();
            $names = array_map(
                fn ($task) => trim(@file_get_contents("$task/comm")),
                glob('/proc/self/task/*'),
            );
            $most = max($most, count(array_keys($names, 'redis-session-d')));
        } while (!$started && $attempts < 50);
        $_SESSION['n'] = 7;
        session_write_close();
        echo json_encode([$started, $attempts >= 3, $most]), "\n", array_key_first($texts);
        "#,
    );
    let Some(output) = output else {
        crate::support::skip("no /etc/resolv.conf of our own (it takes root and unshare)");
        return;
    };
    let stdout = String::from_utf8_lossy(&output.stdout);
    // It took several attempts, with one thread between them, and then worked.
    let (outcome, first) = stdout.split_once('\n').unwrap();
    assert_eq!(outcome, "[true,true,1]", "{output:?}");
    let expected = format!(
        "session_start(): Redis connection not available: {NAME}:{port}: no answer from the name \
         servers within 0.2 s (is the host name correct, and do the name servers answer?)"
    );
    assert_eq!(first, expected);
    let stored: String =
        redis::cmd("GET").arg("PHPREDIS_SESSION:names").query(&mut server.client()).unwrap();
    assert_eq!(stored, "n|i:7;");
}

#[test]
fn an_answer_that_came_when_nobody_waited_any_more_is_not_believed() {
    let address = "127.99.99.54";
    let Some(_names) = name_server(address, Duration::from_millis(500), NO_SUCH_NAME) else {
        crate::support::skip("no name server of our own (it takes root)");
        return;
    };
    let server = RedisServer::start(Options::default());
    let port = server.addr().rsplit(':').next().unwrap().to_owned();
    let output = run(
        address,
        &format!("tcp://{NAME}:{port}?timeout=0.2"),
        r#"
        set_error_handler(fn () => true);
        session_id('names');
        $outcome = [session_start()];
        // Until the thread that asks has its answer, and has ended.
        for ($end = microtime(true) + 10; microtime(true) < $end; usleep(10_000)) {
            $names = array_map(fn ($task) => trim(@file_get_contents("$task/comm")), glob('/proc/self/task/*'));
            if (!in_array('redis-session-d', $names, true)) break;
        }
        $outcome[] = session_start();
        echo json_encode($outcome);
        "#,
    );
    let Some(output) = output else {
        crate::support::skip("no /etc/resolv.conf of our own (it takes root and unshare)");
        return;
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout), "[false,true]", "{output:?}");
}

#[test]
fn a_name_whose_address_changes_leads_to_the_new_primary_at_the_next_request() {
    let (address, moved) = ("127.99.99.55", Arc::<AtomicU8>::default());
    let names = name_server_of(address, Duration::ZERO, NO_ERROR, moved.clone());
    let Some(_names) = names else {
        crate::support::skip("no name server of our own (it takes root)");
        return;
    };
    let server = |lines: &[&str]| {
        let lines = ["repl-diskless-sync-delay 0"].iter().chain(lines);
        let config = lines.map(ToString::to_string).collect();
        RedisServer::start(Options { config, ..Options::default() })
    };
    let old = server(&[]);
    let port = old.port().to_string();
    // On the same port of the next address.
    let new = server(&["bind 127.0.0.2", &format!("port {port}")]);
    let _: () = ask(&new, &["REPLICAOF", "127.0.0.1", &port]);
    for locking in ["0", "1"] {
        let php =
            php(&format!("tcp://{NAME}:{port}")).ini("redis.session.locking_enabled", locking);
        let (_dir, mut child) = spawn(
            address,
            &php,
            r#"
            while (fgets(STDIN)) {
                session_id('names');
                $ok = session_start();
                $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);
                echo json_encode([$ok, session_write_close(), $_SESSION['n'], error_get_last()]), "\n";
            }
            "#,
        );
        let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut lines = BufReader::new(output).lines();
        let mut visit = || {
            // Broken off where PHP cannot have an /etc/resolv.conf of its own.
            writeln!(input, "go").ok()?;
            lines.next()?.ok()
        };
        let Some(first) = visit() else {
            crate::support::skip("no /etc/resolv.conf of our own (it takes root and unshare)");
            return;
        };
        assert_eq!(first, "[true,true,1,null]");
        let primary = if locking == "0" { (&old, &new) } else { (&new, &old) };
        await_replicas(primary.0, 1);
        let _: () = ask(primary.1, &["REPLICAOF", "NO", "ONE"]);
        moved.store(1 - moved.load(Ordering::SeqCst), Ordering::SeqCst);
        let to = if locking == "0" { "127.0.0.2" } else { "127.0.0.1" };
        let _: () = ask(primary.0, &["REPLICAOF", to, &port]);
        assert_eq!(visit().unwrap(), "[true,true,2,null]", "locking: {locking}");
        assert_eq!(visit().unwrap(), "[true,true,3,null]", "locking: {locking}");
        let stored: String = ask(primary.1, &["GET", "PHPREDIS_SESSION:names"]);
        assert_eq!(stored, "n|i:3;");
        let _: usize = ask(primary.1, &["DEL", "PHPREDIS_SESSION:names"]);
        drop(input);
        child.wait().unwrap();
    }
}
