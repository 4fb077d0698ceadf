//! What `session.save_path` says.
//!
//! Owns the text: which hosts, how to reach each of them, and which one holds
//! a session. Does no I/O: names are not resolved, files are not opened.
//! The meaning of each form that phpredis has is phpredis', except where a
//! comment says otherwise. A form is known by its look: which handler the
//! text is for does not matter.
//!
//! From top to bottom; each file uses those below it:
//!
//! - `standalone`, `sentinel`, `cluster`: the topologies and their forms
//! - `options`, `auth`, `tls`: what the parameters after the `?` mean
//! - `place`: everything up to the `?`
//! - `mask`: hides passwords in everything that is shown
//! - `site`: hosts and path; `query`: which parameters there are
//! - `host`, `scheme`: one host, and what is before `://`
//! - `span`: a part of the text that knows its offset, for error messages

mod auth;
mod cluster;
mod host;
mod mask;
mod options;
mod place;
mod query;
mod scheme;
mod sentinel;
mod site;
mod span;
mod standalone;
#[cfg(test)]
mod tests;
mod tls;

pub use cluster::{Cluster, Failover};
pub use mask::{masked, masked_in, masked_refusal, with_entities};
pub use options::notice_phpredis;
pub use sentinel::Sentinel;
pub use standalone::Standalone;

use crate::config::server::STILL_FILES;
use crate::error::Error;

use scheme::Form;
use span::{Span, SpanError};

/// What `session.save_path` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavePath {
    topology: Topology,
}

/// How the servers of a save path belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topology {
    /// Servers that know nothing of each other.
    Standalone(Standalone),
    /// The primary that sentinels name.
    Sentinel(Sentinel),
    /// The nodes of a Redis Cluster.
    Cluster(Cluster),
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

impl From<ParseError> for Error {
    fn from(error: ParseError) -> Self {
        Self::SavePath(error.to_string())
    }
}

impl SavePath {
    /// Reads one of these:
    ///
    /// - A list of servers, separated by white space and commas. Each is
    ///   `tcp://`, `tls://`, `ssl://`, `tlsv1.2://`, `tlsv1.3://`, `redis://`, `rediss://`, `valkey://` or
    ///   `valkeys://` with `[user:password@]host[:port][/database]`, or
    ///   `host[:port]`, or `unix:///path`, and then `?name=value&...`.
    /// - `redis-sentinel://[user:password@]host[:port],.../service[/database]`
    ///   and `?name=value&...`; also `rediss-`, `valkey-` and `valkeys-`.
    /// - `redis-cluster://[user:password@]host[:port],...` and
    ///   `?name=value&...`; also `rediss-`, `valkey-` and `valkeys-`.
    /// - `seed[]=host:port&seed[]=host:port&name=value&...`, a cluster.
    ///
    /// Quotes around the whole text are taken off.
    ///
    /// # Errors
    /// The first thing in the text that cannot be honoured. A parameter that
    /// no one knows is only a warning.
    pub fn parse(text: &str) -> Result<Parsed, ParseError> {
        read(Span::of(text)).map_err(|SpanError { at, reason }| ParseError {
            offset: at,
            reason,
            masked: mask::masked(text),
        })
    }

    /// Which servers there are, and how they share the sessions.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }
}

/// Reads the whole text.
fn read(text: Span<'_>) -> Result<Parsed, SpanError> {
    if let Some(at) = text.find('\0') {
        return Err(text.after(at).error("NUL bytes are not allowed"));
    }
    let inner = text.unquoted().trimmed();
    if inner.text().chars().all(span::is_separator) {
        return Err(text.error(standalone::EMPTY));
    }
    refuse_files(inner)?;
    let mut warnings = Vec::new();
    let form = scheme::split_scheme(inner).0.and_then(scheme::announced).map(|(form, _)| form);
    let topology = match form {
        Some(Form::Sentinel) => Topology::Sentinel(sentinel::read(inner, &mut warnings)?),
        Some(Form::Cluster) => Topology::Cluster(cluster::read(inner, &mut warnings)?),
        None if query::is_query(inner) => {
            Topology::Cluster(cluster::read_query(inner, &mut warnings)?)
        }
        None | Some(Form::Unix | Form::Tcp | Form::Url) => {
            Topology::Standalone(standalone::read(inner, &mut warnings)?)
        }
    };
    Ok(Parsed { save_path: SavePath { topology }, warnings })
}

/// Says so where the text is that of PHP's own handler for files, or what
/// PHP has left of it or of a cluster's.
fn refuse_files(text: Span<'_>) -> Result<(), SpanError> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let mut parts = text.text().split(';').map(str::trim);
    let has_levels = parts.next().is_some_and(is_number);
    let is_cut = text.len() < 6 && is_number(text.text());
    if is_cut || has_levels && parts.next_back().is_some_and(|path| path.starts_with('/')) {
        return Err(text.error(STILL_FILES));
    }
    let seed = text.text().strip_prefix("seed[").and_then(|rest| rest.strip_suffix(']'));
    match seed.is_some_and(|key| key.chars().all(|c| c.is_ascii_alphanumeric())) {
        true => Err(text.error(format!("seed[] {}", options::NO_VALUE))),
        false => Ok(()),
    }
}
