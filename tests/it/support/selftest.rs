//! The test support does what the other tests rely on, and can fail.

// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

mod fpm;
mod php;
mod proxy;
mod resp;
mod servers;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A raw client that never waits for more than ten seconds.
fn connect(addr: &str) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(10 * SECOND)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends `request` and reads exactly `reply`.
fn exchange(mut stream: &TcpStream, request: &str, reply: &str) {
    stream.write_all(request.as_bytes()).unwrap();
    expect(stream, reply);
}

fn expect(mut stream: &TcpStream, reply: &str) {
    let mut got = vec![0; reply.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8_lossy(&got), reply);
}

/// What still comes until the connection ends.
fn rest(mut stream: &TcpStream) -> String {
    let mut got = String::new();
    stream.read_to_string(&mut got).unwrap();
    got
}

const PING: &str = "*1\r\n$4\r\nPING\r\n";
const PONG: &str = "+PONG\r\n";
