//! Any bytes as a server's replies: each is read or refused, with memory for
//! what has arrived and not for what was announced, and what is made of them
//! does not panic.
#![no_main]

use std::io::{self, Read};

mod limited;

use libfuzzer_sys::fuzz_target;
use limited::Limited;
use redis::Value;
use redis_session::client::resp::Reader;
use redis_session::config::server::Address;
use redis_session::lock::token::Holder;
use redis_session::topology::cluster::{parse_ranges, redirection};
use redis_session::topology::sentinel::report::parse_report;

/// Most bytes in use at a time. A large value begins with 1 MB, and grows by
/// doubling once that has arrived, which no input here does.
const LIMIT: usize = 8 << 20;

#[global_allocator]
static ALLOCATOR: Limited<LIMIT> = Limited::new();

/// Gives `step` bytes at a time.
struct Packets<'a> {
    data: &'a [u8],
    step: usize,
}

impl Read for Packets<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let size = room.len().min(self.step);
        self.data.read(&mut room[..size])
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&step, data)) = data.split_first() else { return };
    let mut source = Packets { data, step: usize::from(step).max(1) };
    let mut reader = Reader::default();
    let from = Address::Tcp { host: "127.0.0.1".to_owned(), port: 7000 };
    while let Ok(value) = reader.read(&mut source) {
        match &value {
            Value::BulkString(bytes) => {
                let _ = Holder::of(bytes).to_string();
            }
            Value::ServerError(error) => {
                let _ = redirection(&error.clone().into(), &from);
            }
            _ => {}
        }
        let _ = parse_report(vec![value.clone(), value.clone()]);
        let _ = parse_ranges(value, &from);
    }
    reader.has_surplus();
});
