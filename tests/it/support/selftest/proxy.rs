//! The proxy counts round trips, and each fault does what it says.

use super::{PING, PONG, SECOND, connect, exchange, expect, rest};
use crate::support::process::{poll, wait_until};
use crate::support::proxy::{Direction, Fault, RecordingProxy};
use crate::support::resp::{Stop, reply_len};
use crate::support::servers::{Options, RedisServer};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

/// A server and a proxy in front of it.
fn proxied() -> (RedisServer, RecordingProxy) {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    (server, proxy)
}

#[test]
fn three_commands_in_a_pipeline_are_one_round_trip_and_one_by_one_are_three() {
    let (_server, proxy) = proxied();
    let stream = connect(&proxy.addr());
    exchange(&stream, &PING.repeat(3), &PONG.repeat(3));
    assert_eq!((proxy.round_trips(), proxy.commands().len()), (1, 3));
    proxy.reset();
    for _ in 0..3 {
        exchange(&stream, PING, PONG);
    }
    assert_eq!((proxy.round_trips(), proxy.commands().len()), (3, 3));
}

#[test]
fn a_command_cut_into_packets_is_one_round_trip_even_when_replies_come_between() {
    let (_server, proxy) = proxied();
    let mut stream = connect(&proxy.addr());
    let (first, second) = PING.split_at(6);
    // The second PING began before the first was answered.
    exchange(&stream, &[PING, first].concat(), PONG);
    exchange(&stream, second, PONG);
    assert_eq!(proxy.round_trips(), 1);
    // All alone it is a new one, and each byte in its own packet still is.
    for byte in PING.bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    expect(&stream, PONG);
    assert_eq!(proxy.round_trips(), 2);
}

#[test]
fn a_push_message_is_not_an_answer() {
    let (server, proxy) = proxied();
    let mut stream = connect(&proxy.addr());
    stream.write_all(b"HELLO 3\r\n").unwrap();
    let mut hello = Vec::new();
    while reply_len(&hello) == Err(Stop::More) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        hello.extend(byte);
    }
    exchange(&stream, "CLIENT TRACKING on BCAST\r\n", "+OK\r\n");
    proxy.reset();
    stream.write_all(b"BLPOP list 10\r\n").unwrap();
    wait_until("BLPOP is there", || proxy.commands().len() == 1);
    redis::cmd("SET").arg("k").arg(1).exec(&mut server.client()).unwrap();
    expect(&stream, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
    stream.write_all(PING.as_bytes()).unwrap();
    wait_until("PING is there", || proxy.commands().len() == 2);
    assert_eq!(proxy.round_trips(), 1);
}

#[test]
fn commands_and_bytes_are_recorded_over_all_connections_until_a_reset() {
    let (_server, proxy) = proxied();
    let (one, two) = (connect(&proxy.addr()), connect(&proxy.addr()));
    exchange(&one, "set k v\r\n", "+OK\r\n");
    exchange(&two, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "$1\r\nv\r\n");
    assert_eq!((proxy.connections(), proxy.open_connections()), (2, 2));
    assert_eq!(proxy.round_trips(), 2);
    assert_eq!(proxy.command_names(), ["SET", "GET"]);
    assert_eq!(proxy.commands()[1], [b"GET".to_vec(), b"k".to_vec()]);
    assert_eq!(
        proxy.traffic()[0],
        [
            (Direction::ToServer, b"set k v\r\n".to_vec()),
            (Direction::ToClient, b"+OK\r\n".to_vec())
        ]
    );
    proxy.reset();
    assert_eq!((proxy.connections(), proxy.round_trips()), (0, 0));
    assert!(proxy.commands().is_empty() && proxy.traffic().is_empty());
    drop(one);
    wait_until("one is closed", || proxy.open_connections() == 1);
}

#[test]
fn a_megabyte_passes_unharmed_as_one_round_trip() {
    let (server, proxy) = proxied();
    let url = format!("redis://{}/", proxy.addr());
    let mut client = redis::Client::open(url).unwrap().get_connection().unwrap();
    let value: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    redis::cmd("SET").arg("k").arg(&value).exec(&mut server.client()).unwrap();
    proxy.reset();
    let got: Vec<Vec<u8>> =
        redis::pipe().get("k").set("copy", &value).ignore().get("copy").query(&mut client).unwrap();
    assert!(got == [value.clone(), value]);
    assert_eq!(proxy.round_trips(), 1);
}

#[test]
#[should_panic(expected = "did not speak RESP")]
fn nothing_is_counted_on_a_connection_that_does_not_speak_resp() {
    let (_server, proxy) = proxied();
    let mut stream = connect(&proxy.addr());
    stream.write_all(b"\x16\x03\x01 hello").unwrap();
    wait_until("the bytes have passed", || proxy.traffic().len() == 1);
    proxy.round_trips();
}

#[test]
fn delay_and_late_reply_take_their_time_before_and_after_the_server() {
    let (server, proxy) = proxied();
    let mut stream = connect(&proxy.addr());
    let delay = SECOND / 5;
    let exists = || server.keys() == ["k"];

    proxy.set_fault(Fault::LateReply(delay));
    let start = Instant::now();
    stream.write_all(b"SET k 1\r\n").unwrap();
    assert!(poll(delay / 2, exists));
    expect(&stream, "+OK\r\n");
    assert!(start.elapsed() >= delay);

    redis::cmd("DEL").arg("k").exec(&mut server.client()).unwrap();
    proxy.set_fault(Fault::Delay(delay));
    let start = Instant::now();
    stream.write_all(b"SET k 1\r\n").unwrap();
    assert!(!poll(delay / 2, exists));
    expect(&stream, "+OK\r\n");
    assert!(start.elapsed() >= delay);

    proxy.clear_fault();
    exchange(&stream, PING, PONG);
    assert!(start.elapsed() < 2 * delay, "the fault is gone");
}

#[test]
fn a_connection_is_cut_in_the_middle_of_a_request() {
    let (server, proxy) = proxied();
    let mut stream = connect(&proxy.addr());
    exchange(&stream, PING, PONG);
    proxy.set_fault(Fault::CutAfterRequestBytes(5));
    stream.write_all(b"SET k 1\r\n").unwrap();
    assert_eq!(rest(&stream), "");
    assert!(server.keys().is_empty());
    // The next connection meets the same end, until it is cleared.
    let mut stream = connect(&proxy.addr());
    stream.write_all(PING.as_bytes()).unwrap();
    assert_eq!(rest(&stream), "");
    proxy.clear_fault();
    exchange(&connect(&proxy.addr()), PING, PONG);
}

#[test]
fn a_reply_is_lost_although_the_command_was_carried_out() {
    let (server, proxy) = proxied();
    proxy.set_fault_once(Fault::CutAfterReplyBytes(0));
    let mut stream = connect(&proxy.addr());
    stream.write_all(b"SET k 1\r\n").unwrap();
    assert_eq!(rest(&stream), "");
    assert_eq!(server.keys(), ["k"]);
    // It was for once.
    exchange(&connect(&proxy.addr()), PING, PONG);
    proxy.set_fault(Fault::CutAfterReplyBytes(9));
    let mut stream = connect(&proxy.addr());
    stream.write_all(PING.repeat(2).as_bytes()).unwrap();
    assert_eq!(rest(&stream), "+PONG\r\n+P");
}

#[test]
fn a_connection_is_reset_when_it_is_accepted() {
    let (_server, proxy) = proxied();
    proxy.set_fault(Fault::ResetOnAccept);
    let mut stream = connect(&proxy.addr());
    let error = stream.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_stalled_connection_stays_open_and_goes_on_when_cleared() {
    let (server, proxy) = proxied();
    let mut stream = connect(&proxy.addr());
    stream.set_read_timeout(Some(SECOND / 10)).unwrap();
    proxy.set_fault(Fault::Stall);
    stream.write_all(b"SET k 1\r\n").unwrap();
    let error = stream.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(server.keys().is_empty());
    proxy.clear_fault();
    stream.set_read_timeout(Some(10 * SECOND)).unwrap();
    expect(&stream, "+OK\r\n");
}

#[test]
fn replies_are_replaced_and_doubled() {
    let (_server, proxy) = proxied();
    let stream = connect(&proxy.addr());
    proxy.set_fault_once(Fault::GarbageReply(b"?what".to_vec()));
    exchange(&stream, &PING.repeat(2), "?what+PONG\r\n");
    proxy.set_fault(Fault::DuplicateReply);
    exchange(&stream, PING, "+PONG\r\n+PONG\r\n");
}

#[test]
fn a_fault_strikes_after_the_answer_to_a_command() {
    let (_server, proxy) = proxied();
    let stream = connect(&proxy.addr());
    proxy.set_fault_after("ECHO", Fault::GarbageReply(b"+FINE\r\n".to_vec()), true);
    exchange(&stream, PING, PONG);
    exchange(&stream, "echo a\r\n", "$1\r\na\r\n");
    exchange(&stream, PING, "+FINE\r\n");
    exchange(&stream, PING, PONG);
    assert_eq!(proxy.command_names(), ["PING", "PING"]);
}

#[test]
fn a_dropped_proxy_ends_stalled_connections_at_once() {
    let (server, proxy) = proxied();
    let mut stream = connect(&proxy.addr());
    proxy.set_fault(Fault::Stall);
    stream.write_all(b"SET k 1\r\n").unwrap();
    wait_until("the request is held", || proxy.commands().len() == 1);
    let (addr, start) = (proxy.addr(), Instant::now());
    drop(proxy);
    assert!(start.elapsed() < 5 * SECOND, "nothing hangs");
    assert!(server.keys().is_empty(), "what was held never arrives");
    // EOF or a reset, but an end.
    let end = stream.read(&mut [0; 1]);
    assert!(matches!(&end, Ok(0)) || end.unwrap_err().kind() == ErrorKind::ConnectionReset);
    // A process that another test just forks holds our listener until its exec.
    wait_until("the port is closed", || TcpStream::connect(&addr).is_err());
}
