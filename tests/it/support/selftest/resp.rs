//! Commands and replies end where they end.

use crate::support::resp::{Stop, command, reply_len};

#[test]
fn a_message_is_complete_at_its_last_byte_and_not_before() {
    for message in [
        "+OK\r\n",
        "$5\r\na\r\nbc\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*2\r\n*1\r\n:1\r\n$0\r\n\r\n",
        "%1\r\n+k\r\n~2\r\n#t\r\n_\r\n",
        "|1\r\n+ttl\r\n,3.5\r\n*1\r\n(9\r\n",
        ">2\r\n+message\r\n=5\r\ntxt:x\r\n",
        "!3\r\nERR\r\n",
    ] {
        let more = format!("{message}+next\r\n");
        assert_eq!(reply_len(more.as_bytes()), Ok(message.len()), "{message:?}");
        for end in 0..message.len() {
            assert_eq!(reply_len(&message.as_bytes()[..end]), Err(Stop::More));
        }
    }
    let request = "*2\r\n$3\r\nGET\r\n$4\r\n\r\n\r\n\r\n";
    let args = vec![b"GET".to_vec(), b"\r\n\r\n".to_vec()];
    assert_eq!(command(request.as_bytes()), Ok((args, request.len())));
    for end in 0..request.len() {
        assert_eq!(command(&request.as_bytes()[..end]), Err(Stop::More));
    }
}

#[test]
fn what_is_not_resp_is_recognised() {
    for bytes in [&b"\x16\x03\x01"[..], b"*x\r\n", b"$2\r\nabc\r\n", b"*-2\r\n"] {
        assert_eq!(reply_len(bytes), Err(Stop::NotResp), "{bytes:?}");
    }
    for bytes in [&b"\x16\x03\x01"[..], b"*1\r\n:1\r\n", b"*1\r\n$-1\r\n"] {
        assert_eq!(command(bytes), Err(Stop::NotResp), "{bytes:?}");
    }
}
