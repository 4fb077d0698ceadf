//! Redis servers start, answer, stop and can be hurt.

use super::{PING, PONG, SECOND, connect, exchange, expect};
use crate::support::servers::{ClientCert, Options, RedisServer};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_server_answers_on_its_port_and_its_socket_and_starts_empty() {
    let server = RedisServer::start(Options::default());
    exchange(&connect(&server.addr()), PING, PONG);
    assert!(server.keys().is_empty());
    redis::cmd("SET").arg("b").arg(1).exec(&mut server.client()).unwrap();
    redis::cmd("SET").arg("a").arg(1).exec(&mut server.client()).unwrap();
    assert_eq!(server.keys(), ["a", "b"]);
}

#[test]
fn a_password_and_acl_users_are_demanded() {
    let server = RedisServer::start(Options {
        requirepass: Some(r#"p"a\ss"#.into()),
        users: vec!["alice on >secret ~* &* +@all".into()],
        ..Options::default()
    });
    assert!(server.keys().is_empty());
    let stream = connect(&server.addr());
    exchange(&stream, PING, "-NOAUTH");
    let stream = connect(&server.addr());
    exchange(&stream, "AUTH alice wrong\r\n", "-WRONGPASS");
    let stream = connect(&server.addr());
    exchange(&stream, "AUTH alice secret\r\n", "+OK\r\n");
}

#[test]
fn a_paused_server_is_silent_until_it_resumes() {
    let mut server = RedisServer::start(Options::default());
    let mut stream = connect(&server.addr());
    stream.set_read_timeout(Some(SECOND / 20)).unwrap();
    server.pause();
    stream.write_all(PING.as_bytes()).unwrap();
    let error = stream.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    server.resume();
    stream.set_read_timeout(Some(10 * SECOND)).unwrap();
    expect(&stream, PONG);
}

#[test]
fn a_killed_server_refuses_connections_until_it_restarts() {
    let mut server = RedisServer::start(Options::default());
    redis::cmd("SET").arg("a").arg(1).exec(&mut server.client()).unwrap();
    server.kill();
    let error = TcpStream::connect(server.addr()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    server.restart();
    exchange(&connect(&server.addr()), PING, PONG);
    assert!(server.keys().is_empty());
}

#[test]
fn a_dropped_server_is_gone() {
    let server = RedisServer::start(Options::default());
    let (addr, socket) = (server.addr(), server.socket());
    drop(server);
    assert!(TcpStream::connect(addr).is_err());
    assert!(!socket.exists());
}

#[test]
#[should_panic(expected = "no-such-directive")]
fn a_server_that_does_not_start_shows_its_log() {
    RedisServer::start(Options {
        config: vec!["no-such-directive 1".into()],
        ..Options::default()
    });
}

/// What a TLS client gets for PING.
fn ping_tls(server: &RedisServer, ca: &Path, with_cert: bool) -> String {
    let mut client = Command::new("openssl");
    client
        .args(["s_client", "-quiet", "-verify_return_error"])
        .args(["-verify_hostname", "localhost", "-CAfile"])
        .arg(ca)
        .args(["-connect", &format!("127.0.0.1:{}", server.tls_port())]);
    if with_cert {
        let certs = server.certs();
        client.arg("-cert").arg(&certs.client);
        client.arg("-key").arg(&certs.client_key);
    }
    client.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = client.stderr(Stdio::null()).spawn().unwrap();
    // A refused client may end before it reads this.
    let _ = child.stdin.take().unwrap().write_all(b"PING\r\nQUIT\r\n");
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn tls_wants_the_right_ca_and_where_told_so_a_client_certificate() {
    let start =
        |client_cert| RedisServer::start(Options { tls: Some(client_cert), ..Options::default() });
    let optional = start(ClientCert::Optional);
    let required = start(ClientCert::Required);
    let ours = optional.certs().ca.clone();
    let theirs = required.certs().ca.clone();
    assert!(ping_tls(&optional, &ours, false).starts_with(PONG));
    assert!(ping_tls(&required, &theirs, true).starts_with(PONG));
    assert_eq!(ping_tls(&required, &theirs, false), "");
    assert_eq!(ping_tls(&optional, &theirs, false), "");
}
