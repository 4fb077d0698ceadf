//! What `session.save_path` says, for the `redis` handler.
//!
//! Owns the text: which hosts, how to reach each of them, and which one holds
//! a session. Does no I/O: names are not resolved, files are not opened.
//! The meaning of each form is phpredis', except where a comment says
//! otherwise.
//!
//! - `piece`: a part of the text that knows its offset, for error messages
//! - `address`: scheme, user and password, host, port, path
//! - `query`, `options`, `auth`, `tls`: the parameters behind the `?`
//! - `mask`: hides passwords in everything that is shown

mod address;
mod auth;
mod mask;
mod options;
mod piece;
mod query;
#[cfg(test)]
mod tests;
mod tls;

use std::time::Duration;

pub use address::Address;
pub use auth::{Auth, Secret};
pub use tls::Tls;

use piece::{Fault, Piece};

/// The servers of a save path, in the order of the text; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavePath {
    hosts: Vec<Host>,
}

/// What [`SavePath::parse`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// What the text says.
    pub save_path: SavePath,
    /// One sentence for each parameter that was not understood and is
    /// ignored. They show no secret.
    pub warnings: Vec<String>,
}

/// One server, and how to use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Where it listens.
    pub address: Address,
    /// How to encrypt the connection; `None` is plain text.
    pub tls: Option<Tls>,
    /// Its share of the sessions, at least 1. Defaults to 1.
    pub weight: u32,
    /// The longest wait for a connection, never zero. Defaults to 5 s, where
    /// phpredis waits for a day.
    pub timeout: Duration,
    /// The longest wait for a reply, never zero. Defaults to 5 s, also when
    /// the text says 0, where phpredis takes `default_socket_timeout`.
    pub read_timeout: Duration,
    /// Whether the connection is kept for the next request. Defaults to true,
    /// where phpredis has false.
    pub persistent: bool,
    /// Connections with different ids are not shared. Defaults to `None`.
    pub persistent_id: Option<String>,
    /// The pause before another attempt to connect. Defaults to zero.
    pub retry_interval: Duration,
    /// The number of the database. Defaults to 0.
    pub database: u32,
    /// What replaces `PHPREDIS_SESSION:` in front of a session id; may be
    /// empty. Defaults to `None`.
    pub prefix: Option<String>,
    /// What to log in with. Defaults to `None`.
    pub auth: Option<Auth>,
}

/// Why a save path cannot be used. Shows no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "Failed to parse session.save_path (error at offset {offset}, url was '{masked}'): {reason}"
)]
pub struct ParseError {
    /// Where the offending part or parameter starts, in bytes of the text as
    /// it was given (not as `masked` shows it).
    pub offset: usize,
    /// What is wrong, and where it helps, what to write instead.
    pub reason: String,
    /// The text with every password replaced by `***`.
    pub masked: String,
}

impl SavePath {
    /// Reads a list of servers, separated by white space and commas.
    ///
    /// Each is `tcp://`, `tls://`, `ssl://`, `redis://`, `rediss://`,
    /// `valkey://` or `valkeys://` with `[user:password@]host[:port][/database]`,
    /// or `host[:port]`, or `unix:///path`, and then `?name=value&...`.
    /// Quotes around the whole text are taken off.
    ///
    /// # Errors
    /// The first thing in the text that cannot be honoured. A parameter that
    /// nobody knows is only a warning.
    pub fn parse(text: &str) -> Result<Parsed, ParseError> {
        read(Piece::of(text)).map_err(|Fault { at, reason }| ParseError {
            offset: at,
            reason,
            masked: mask::masked(text),
        })
    }

    /// The servers in the order of the text; at least one.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Which of [`hosts`](Self::hosts) holds the session `sid`.
    ///
    /// phpredis' rule, so that a mixed fleet agrees: the first four bytes of
    /// the id as a little-endian number, modulo the sum of the weights, and
    /// the hosts own their shares of that range from the last to the first.
    /// A shorter id is padded with zeros.
    #[must_use]
    pub fn host_index(&self, sid: &[u8]) -> usize {
        let mut head = [0; 4];
        for (to, from) in head.iter_mut().zip(sid) {
            *to = *from;
        }
        let total: u32 = self.hosts.iter().map(|host| host.weight).sum();
        let mut pos = u32::from_le_bytes(head).checked_rem(total).unwrap_or(0);
        for (index, host) in self.hosts.iter().enumerate().rev() {
            if pos < host.weight {
                return index;
            }
            pos -= host.weight;
        }
        0
    }
}

/// Reads the whole text.
fn read(text: Piece<'_>) -> Result<Parsed, Fault> {
    if let Some(at) = text.find('\0') {
        return Err(text.after(at).fault("it holds a NUL byte"));
    }
    let mut hosts = Vec::new();
    let mut warnings = Vec::new();
    let mut total: u32 = 0;
    for part in text.unquoted().split(piece::is_separator) {
        if part.is_empty() {
            continue;
        }
        let host = read_host(part, &mut warnings)?;
        total = total
            .checked_add(host.weight)
            .ok_or_else(|| part.fault("the sum of all weights is over 4294967295"))?;
        hosts.push(host);
    }
    if hosts.is_empty() {
        return Err(text.fault("session.save_path is empty"));
    }
    Ok(Parsed { save_path: SavePath { hosts }, warnings })
}

/// Reads one server of the list.
fn read_host(part: Piece<'_>, warnings: &mut Vec<String>) -> Result<Host, Fault> {
    if let Some(variable) = unexpanded(part) {
        return Err(variable.fault(format!(
            "{} is still there: that environment variable is not set, \
             or PHP does not expand it here (it does in php.ini)",
            variable.shown()
        )));
    }
    let place = address::place(part)?;
    options::host(place, part, warnings)
}

/// The first `${NAME}` that PHP left in the text.
fn unexpanded(part: Piece<'_>) -> Option<Piece<'_>> {
    let start = part.after(part.find("${")?);
    let (variable, _) = start.split_at(start.find('}')? + 1);
    let name = variable.text().get(2..variable.len() - 1)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(plain)).then_some(variable)
}
