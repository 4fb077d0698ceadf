//! One server: where it listens, and how to use it.
//!
//! What the layers below a save path need to know of it; how it is written
//! in a save path is the parser's business.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::auth::Auth;
use crate::config::tls::TlsOptions;

/// One server, and how to use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Where it listens.
    pub address: Address,
    /// How to encrypt the connection; `None` is plain text.
    pub tls: Option<TlsOptions>,
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
    /// Older connections are not used for another request; zero is no limit.
    /// Defaults to one hour.
    pub max_connection_age: Duration,
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

impl Host {
    /// The same way to connect, to a server at `address`.
    #[must_use]
    pub fn at(&self, address: Address) -> Self {
        Self { address, ..self.clone() }
    }
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP port.
    Tcp {
        /// A name, or an IP address without brackets.
        host: String,
        /// Defaults to 6379, of a sentinel to 26379; never 0.
        port: u16,
    },
    /// A Unix domain socket, by its absolute path.
    Unix(PathBuf),
}

/// `host:port`, `[::1]:6379` or `unix:/path`; never a secret.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What is said of a save path that is no server's.
pub const STILL_FILES: &str = "this is a directory, as for session.save_handler = files: write \
                               the address of Redis instead, e.g. tcp://127.0.0.1:6379";
