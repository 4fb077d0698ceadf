//! Each kind of reply, whole, in pieces, and as no server sends it.

use super::*;

fn read(bytes: &[u8]) -> RedisResult<Value> {
    Reader::default().read(&mut &bytes[..])
}

/// Gives one byte at a time: every boundary is a partial read.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let size = room.len().min(1);
        self.0.read(&mut room[..size])
    }
}

#[test]
fn a_command_is_packed_as_an_array_of_bulk_strings() {
    let mut out = Vec::new();
    pack(&mut out, &[b"GET", b"a\r\nb", b""]);
    assert_eq!(out, b"*3\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n$0\r\n\r\n");
}

#[test]
fn every_kind_of_reply_is_read_as_the_crate_reads_it() {
    let replies: [&[u8]; 15] = [
        b"+OK\r\n",
        b"+PONG\r\n",
        b"-ERR no\r\n",
        b"-NOSCRIPT No matching script\r\n",
        b"-MOVED 5 127.0.0.1:7000\r\n",
        b":-42\r\n",
        b"$-1\r\n",
        b"$0\r\n\r\n",
        b"$5\r\na\r\nbc\r\n",
        b"*2\r\n:1\r\n*1\r\n$1\r\nx\r\n",
        b"*-1\r\n",
        b"_\r\n",
        b"#t\r\n",
        b"%1\r\n+key\r\n:1\r\n",
        b"~1\r\n:1\r\n",
    ];
    for reply in replies {
        let expected = redis::parse_redis_value(reply).unwrap();
        assert_eq!(read(reply).unwrap(), expected);
        let trickled = Reader::default().read(&mut Trickle(reply)).unwrap();
        assert_eq!(trickled, expected);
    }
}

#[test]
fn an_error_does_not_repeat_the_arguments_of_a_command() {
    let reply = b"-ERR unknown command 'SETEX', with args beginning with: 'key' 'data' \r\n";
    let Value::ServerError(error) = read(reply).unwrap() else { panic!("no error") };
    assert_eq!((error.code(), error.details()), ("ERR", Some("unknown command 'SETEX'")));
}

#[test]
fn out_of_band_messages_are_passed_over() {
    let bytes = b">2\r\n+invalidate\r\n:1\r\n|1\r\n+ttl\r\n:5\r\n$1\r\nx\r\n";
    assert_eq!(read(bytes).unwrap(), Value::BulkString(b"x".to_vec()));
}

#[test]
fn a_reply_beyond_the_last_one_is_noticed() {
    let mut reader = Reader::default();
    let mut source = &b"+OK\r\n+OK\r\n"[..];
    reader.read(&mut source).unwrap();
    assert!(reader.has_surplus());
    reader.read(&mut source).unwrap();
    assert!(!reader.has_surplus());
    reader.read(&mut &b"+OK\r\n>1\r\n"[..]).unwrap();
    assert_eq!(reader.take_surplus(), b">1\r\n");
    assert!(!reader.has_surplus());
}

#[test]
fn what_no_server_sends_is_refused_without_reserving_memory_for_it() {
    let replies: [&[u8]; 9] = [
        b"$1000000000\r\nx",
        b"$99999999999999999999\r\n",
        b"*1000000000\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\r\n",
        b"+OK\n",
        b"$1\r\nxy\r\n",
        b":one\r\n",
        b"?\r\n",
    ];
    for reply in replies {
        let error = read(reply).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parse, "{}", text(reply));
    }
    let nested = b"*1\r\n".repeat(100);
    assert_eq!(read(&nested).unwrap_err().kind(), ErrorKind::Parse);
    let endless = vec![b'+'; 1 << 20];
    assert_eq!(read(&endless).unwrap_err().kind(), ErrorKind::Parse);
}

#[test]
fn a_connection_that_ends_inside_a_reply_is_a_dropped_connection() {
    for reply in [&b""[..], b"$5\r\nab", b"*2\r\n:1\r\n", b"+O"] {
        assert!(read(reply).unwrap_err().is_connection_dropped(), "{}", text(reply));
    }
}

#[test]
fn a_large_value_arrives_whole() {
    let data: Vec<u8> = (0..5_000_000u32).map(|n| n as u8).collect();
    let mut out = format!("${}\r\n", data.len()).into_bytes();
    out.extend_from_slice(&data);
    out.extend_from_slice(b"\r\n");
    assert_eq!(read(&out).unwrap(), Value::BulkString(data));
}
