//! Finds out which protocol a port speaks, when the connection to it has failed
//! or stays silent. A plain Redis takes the start of a handshake for a line
//! without its end, and waits; a TLS server closes a plain-text connection
//! without a reason. So each probe opens a connection of its own and sends what
//! the server would understand. Both functions block for up to half a second.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::client::socket::Socket;
use crate::config::server::Address;

/// A server of TLS answers sooner, unless it is far away or very busy.
pub const SILENCE: Duration = Duration::from_millis(300);
/// A shorter silence means nothing: then the time limit is short for another reason.
pub const LEAST_SILENCE: Duration = Duration::from_millis(100);
/// The longest that one question takes.
const MAX_WAIT: Duration = Duration::from_millis(500);

/// The first bytes of a record of TLS.
const ALERT: u8 = 0x15;
const HANDSHAKE: u8 = 0x16;

/// Asks whether the server speaks the Redis protocol in plain text.
pub fn probe_plain(address: &Address, limit: Duration) -> bool {
    matches!(first_answer(address, b"PING\r\n", limit), Some([b'+' | b'-', _]))
}

/// Asks whether the server speaks TLS.
pub fn probe_tls(address: &Address, limit: Duration) -> bool {
    let hello = hello(address).unwrap_or_default();
    matches!(first_answer(address, &hello, limit), Some([ALERT | HANDSHAKE, 3]))
}

fn first_answer(address: &Address, question: &[u8], limit: Duration) -> Option<[u8; 2]> {
    let limit = limit.min(MAX_WAIT);
    let mut socket = Socket::connect(address, limit).ok()?;
    socket.start(limit);
    socket.write_all(question).ok()?;
    let mut answer = [0; 2];
    socket.read_exact(&mut answer).ok()?;
    Some(answer)
}

/// How a handshake begins.
fn hello(address: &Address) -> Option<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = match address {
        Address::Tcp { host, .. } => host.clone(),
        Address::Unix(_) => "localhost".to_owned(),
    };
    let name = ServerName::try_from(name).ok()?;
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).ok()?;
    Some(hello)
}
