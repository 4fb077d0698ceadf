//! The one place where ports are chosen.
//!
//! All are below those that the kernel gives to outgoing connections (from 32768 on), so that
//! none of these takes the port of a server that is started again.

use crate::error::{Error, Result};
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::ops::Range;

const FOR_SERVERS: Range<u16> = 10_000..28_000;
/// Not among those for servers: a server that starts meanwhile does not take it.
const TO_STAY_CLOSED: Range<u16> = 28_000..32_000;
const ATTEMPTS: usize = 1_000;

/// A port of 127.0.0.1 for a server. Another process may take it first: whoever
/// uses it must be ready to ask for another one.
pub fn free() -> Result<u16> {
    within(&FOR_SERVERS)
}

/// A port of 127.0.0.1 that refuses connections, and that no server gets from here.
pub fn closed() -> Result<u16> {
    within(&TO_STAY_CLOSED)
}

fn within(range: &Range<u16>) -> Result<u16> {
    for _ in 0..ATTEMPTS {
        let offset = random() % u64::from(range.end - range.start);
        let port = range.start + u16::try_from(offset).unwrap_or_default();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    let text = format!("no port of 127.0.0.1 from {} to {} is free", range.start, range.end - 1);
    Err(Error::Failed(text))
}

/// A number by chance; std has no other source.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn ports_are_free_and_differ_and_those_that_stay_closed_are_no_server_s() {
        let ports: std::collections::HashSet<u16> = (0..50).map(|_| free().unwrap()).collect();
        assert!(ports.len() > 40);
        assert!(ports.iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()));
        let port = closed().unwrap();
        assert!(!FOR_SERVERS.contains(&port));
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    }

    #[test]
    fn a_range_whose_ports_are_all_taken_is_an_error_and_no_endless_search() {
        let taken = (0..100).find_map(|_| {
            let port = free().unwrap();
            Some((TcpListener::bind(("127.0.0.1", port)).ok()?, port))
        });
        let (_listener, port) = taken.unwrap();
        let error = within(&(port..port + 1)).unwrap_err();
        assert!(error.to_string().contains("is free"), "{error}");
    }
}
