//! What passed through the proxy, from the client's point of view.

use crate::support::resp::{self, Stop};
use std::mem;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
}

/// The bytes of one connection; neighbours differ in direction.
pub type Traffic = Vec<(Direction, Vec<u8>)>;

#[derive(Default)]
pub struct Recording {
    pub accepted: usize,
    pub round_trips: usize,
    /// Of all connections, in the order in which they were complete.
    pub commands: Vec<Vec<Vec<u8>>>,
    conversations: Vec<Conversation>,
}

#[derive(Default)]
struct Conversation {
    traffic: Traffic,
    /// The beginning of a command that is not complete yet.
    partial_command: Vec<u8>,
    /// The beginning of a reply that is not complete yet.
    partial_reply: Vec<u8>,
    /// Commands whose reply was not delivered yet.
    unanswered: usize,
    /// The first word of the last complete command, in upper case.
    last_command: String,
    /// The next complete command begins a round trip.
    begins_round_trip: bool,
    not_resp: bool,
}

/// A piece of the server's answer: a whole reply, unless it is not RESP.
pub struct Piece {
    pub bytes: Vec<u8>,
    /// Push messages come by themselves and answer nothing.
    pub is_answer: bool,
}

impl Recording {
    /// Begins a connection and returns its number.
    pub fn accept(&mut self) -> usize {
        self.accepted += 1;
        self.conversations.push(Conversation::default());
        self.conversations.len() - 1
    }

    /// The client sent `bytes`. Call it before they are passed on: a reply must
    /// not be recorded before its command.
    pub fn sent(&mut self, id: usize, bytes: &[u8]) {
        let talk = &mut self.conversations[id];
        talk.append(Direction::ToServer, bytes);
        if talk.not_resp {
            return;
        }
        // Decided at a command's first byte: the rest may well arrive after the
        // replies to the commands before it.
        if talk.partial_command.is_empty() {
            talk.begins_round_trip = talk.unanswered == 0;
        }
        talk.partial_command.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            match resp::command(&talk.partial_command[at..]) {
                Ok((args, len)) => {
                    at += len;
                    // Servers skip an empty command and answer nothing.
                    if !args.is_empty() {
                        self.round_trips += usize::from(mem::take(&mut talk.begins_round_trip));
                        talk.unanswered += 1;
                        talk.last_command = String::from_utf8_lossy(&args[0]).to_uppercase();
                        self.commands.push(args);
                    }
                }
                Err(Stop::More) => break,
                Err(Stop::NotResp) => {
                    talk.not_resp = true;
                    break;
                }
            }
        }
        talk.partial_command.drain(..at);
    }

    /// The server sent `bytes`; returns what can be delivered by now.
    pub fn arrived(&mut self, id: usize, bytes: &[u8]) -> Vec<Piece> {
        let talk = &mut self.conversations[id];
        talk.partial_reply.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        let mut at = 0;
        while !talk.not_resp {
            let rest = &talk.partial_reply[at..];
            match resp::reply_len(rest) {
                Ok(len) => {
                    pieces.push(Piece { bytes: rest[..len].to_vec(), is_answer: rest[0] != b'>' });
                    at += len;
                }
                Err(Stop::More) => break,
                Err(Stop::NotResp) => talk.not_resp = true,
            }
        }
        talk.partial_reply.drain(..at);
        if talk.not_resp && !talk.partial_reply.is_empty() {
            pieces.push(Piece { bytes: mem::take(&mut talk.partial_reply), is_answer: false });
        }
        pieces
    }

    /// `bytes` are about to reach the client.
    pub fn delivered(&mut self, id: usize, bytes: &[u8], is_answer: bool) {
        let talk = &mut self.conversations[id];
        talk.append(Direction::ToClient, bytes);
        talk.unanswered = talk.unanswered.saturating_sub(usize::from(is_answer));
    }

    /// The first word of a connection's last command, in upper case.
    pub fn last_command(&self, id: usize) -> String {
        self.conversations[id].last_command.clone()
    }

    /// Forgets the past, but not what is under way on open connections.
    pub fn reset(&mut self) {
        self.accepted = 0;
        self.round_trips = 0;
        self.commands.clear();
        for talk in &mut self.conversations {
            talk.traffic.clear();
        }
    }

    /// Connections that carried anything since the last reset.
    pub fn traffic(&self) -> Vec<Traffic> {
        let used = self.conversations.iter().filter(|c| !c.traffic.is_empty());
        used.map(|talk| talk.traffic.clone()).collect()
    }

    /// Panics where commands could not be counted, so that "at most two round
    /// trips" is never true just because nothing was understood.
    #[track_caller]
    pub fn assert_understood(&self) {
        let all_resp = self.conversations.iter().all(|talk| !talk.not_resp);
        assert!(all_resp, "a connection did not speak RESP: nothing to count");
    }
}

impl Conversation {
    fn append(&mut self, direction: Direction, bytes: &[u8]) {
        match self.traffic.last_mut() {
            Some((last, recorded)) if *last == direction => recorded.extend_from_slice(bytes),
            _ => self.traffic.push((direction, bytes.to_vec())),
        }
    }
}
