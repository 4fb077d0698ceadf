//! The messages in which sentinels name the next primary of a service.

use super::report::tcp_address;
use crate::config::server::Address;

/// Published when a replica is about to be promoted, when it was, and when
/// the sentinels have agreed on it.
pub(super) const CHANNELS: [&str; 3] =
    ["+failover-state-send-slaveof-noone", "+promoted-slave", SWITCHED];
const SWITCHED: &str = "+switch-master";

/// Takes the whole messages out of `unread`, and returns the servers that they
/// name as the next primary of `service`.
pub(super) fn take_announced(unread: &mut Vec<u8>, service: &str) -> Vec<Address> {
    let (mut channel, mut next) = (None, Vec::new());
    let (mut at, mut done) = (0, 0);
    for line in unread.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        let Some(line) = line.strip_suffix(b"\r\n") else { break };
        let line = String::from_utf8_lossy(line);
        if line.starts_with(['$', '>', '*']) {
            continue; // a length
        }
        match channel.take() {
            None => channel = CHANNELS.into_iter().find(|channel| *channel == line),
            Some(channel) => next.extend(named(channel, &line, service)),
        }
        if channel.is_none() {
            done = at;
        }
    }
    unread.drain(..done);
    next
}

/// The server that a message names as the next primary, where it is about
/// `service`: `SERVICE HOST PORT HOST PORT` with the former one first, or
/// `slave NAME HOST PORT @ SERVICE HOST PORT` with the former one last.
fn named(channel: &str, message: &str, service: &str) -> Option<Address> {
    let words: Vec<&str> = message.split(' ').collect();
    match words[..] {
        [about, _, _, host, port] if channel == SWITCHED && about == service => {
            tcp_address(host, port)
        }
        [_, _, host, port, "@", about, ..] if about == service => tcp_address(host, port),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: &str = ">3\r\n$7\r\nmessage\r\n$15\r\n+promoted-slave\r\n$60\r\n\
        slave 10.0.0.2:1 10.0.0.2 1 @ sessions 10.0.0.1 1\r\n\
        >3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$40\r\nother 10.0.0.1 1 10.0.0.9 1\r\n\
        *3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n\
        *3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$40\r\nsessions 10.0.0.2 1 fd00::3 2\r\n";

    #[test]
    fn messages_are_read_wherever_they_are_cut() {
        for cut in 0..=MESSAGES.len() {
            let (mut unread, mut next) = (Vec::new(), Vec::new());
            for part in [&MESSAGES[..cut], &MESSAGES[cut..]] {
                unread.extend(part.as_bytes());
                next.extend(take_announced(&mut unread, "sessions"));
            }
            let next: Vec<_> = next.iter().map(ToString::to_string).collect();
            assert_eq!(next, ["10.0.0.2:1", "[fd00::3]:2"], "{cut}");
            assert_eq!(unread, b"", "{cut}");
        }
    }
}
