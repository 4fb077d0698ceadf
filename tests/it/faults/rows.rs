//! The faults, and at which bytes of a round trip each strikes.

use super::TIMEOUT;
use crate::support::proxy::Fault;

/// What the proxy does: a name, the faults for a first round trip of these many
/// bytes each way, and whether only the first round trip is hit.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) faults: fn(usize, usize) -> Vec<Fault>,
    pub(super) once: bool,
}

fn protocol_error(bytes: impl Into<Vec<u8>>) -> Vec<Fault> {
    vec![Fault::GarbageReply(bytes.into())]
}

/// All of the first bytes and of the last, and some between.
fn boundaries(len: usize) -> impl Iterator<Item = usize> {
    (0..len).filter(move |&n| n < 24 || n % 9 == 0 || n + 12 >= len)
}

pub(super) const ROWS: [Row; 19] = [
    Row { name: "request 50 ms late", once: true, faults: |_, _| vec![Fault::Delay(TIMEOUT / 12)] },
    Row {
        name: "answer 50 ms late",
        once: true,
        faults: |_, _| vec![Fault::LateReply(TIMEOUT / 12)],
    },
    Row {
        name: "answer after our timeout",
        once: true,
        faults: |_, _| vec![Fault::LateReply(TIMEOUT * 4 / 3)],
    },
    Row { name: "no answer", once: false, faults: |_, _| vec![Fault::Stall] },
    Row {
        name: "request cut, at any byte",
        once: true,
        faults: |sent, _| boundaries(sent).map(Fault::CutAfterRequestBytes).collect(),
    },
    Row {
        name: "request cut, each time",
        once: false,
        faults: |sent, _| [0, 1, sent / 2, sent - 1].map(Fault::CutAfterRequestBytes).to_vec(),
    },
    Row {
        name: "answer cut, at any byte",
        once: true,
        faults: |_, got| (0..got).map(Fault::CutAfterReplyBytes).collect(),
    },
    Row {
        name: "answer cut, each time",
        once: false,
        faults: |_, _| [0, 1, 2].map(Fault::CutAfterReplyBytes).to_vec(),
    },
    Row { name: "connection reset", once: true, faults: |_, _| vec![Fault::Reset] },
    Row { name: "connection reset, each time", once: false, faults: |_, _| vec![Fault::Reset] },
    Row { name: "answer sent twice", once: true, faults: |_, _| vec![Fault::DuplicateReply] },
    Row {
        name: "not Redis",
        once: true,
        faults: |_, _| protocol_error("HTTP/1.1 400 Bad Request\r\n\r\n"),
    },
    Row {
        name: "a length of 10^9",
        once: true,
        faults: |_, _| {
            let kinds =
                ["$1000000000\r\n", "*1000000000\r\n", "%1000000000\r\n", "$1000000000\r\nabc"];
            kinds.map(|kind| Fault::GarbageReply(kind.into())).to_vec()
        },
    },
    Row {
        name: "lists in lists",
        once: true,
        faults: |_, _| {
            [9, 100_000]
                .map(|deep| Fault::GarbageReply([&b"*1\r\n".repeat(deep), &b":1\r\n"[..]].concat()))
                .to_vec()
        },
    },
    Row {
        name: "a list",
        once: true,
        faults: |_, _| protocol_error("*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
    },
    Row { name: "a number", once: true, faults: |_, _| protocol_error(":77\r\n") },
    Row { name: "a status", once: true, faults: |_, _| protocol_error("+FINE\r\n") },
    Row { name: "null", once: true, faults: |_, _| protocol_error("$-1\r\n") },
    Row { name: "an error", once: true, faults: |_, _| protocol_error("-ERR out of order\r\n") },
];
