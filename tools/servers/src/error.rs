//! Why servers cannot be had, in words for the person who asked for them.

use std::fmt;

/// The result of whatever may fail here.
pub type Result<T> = std::result::Result<T, Error>;

/// Its text names the program, the port and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// A program is not installed.
    Missing(String),
    /// Another program listens on the port that was chosen.
    PortTaken(String),
    /// Anything else.
    Failed(String),
}

impl Error {
    /// For a step that failed for the given reason.
    pub fn failed(what: &str, reason: impl fmt::Display) -> Self {
        Self::Failed(format!("{what}: {reason}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Missing(text) | Self::PortTaken(text) | Self::Failed(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for Error {}
