//! Connections to servers: reaching one, logging in, the protocol, and the
//! pools that keep connections between requests. Knows no session.

pub mod connection;
pub mod connection_like;
pub mod dns;
pub mod endpoint;
mod expiry;
pub mod login;
pub mod pool;
pub mod pools;
pub mod resp;
pub mod socket;
pub mod tls;
