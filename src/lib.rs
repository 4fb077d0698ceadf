//! A PHP session save handler for Redis and Valkey, the drop-in replacement
//! for phpredis'.
//!
//! Data flows one way:
//!
//! ```text
//! php ──> handler ──> store ──> connections ──> connection ──> socket, tls
//!                       │                            └──> resp
//!                       └──> key, settings, save_path, error
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`php`](self) | the module PHP loads, its callbacks and INI entries; the only unsafe code |
//! | [`handler`] | one open session: what each callback asks for |
//! | [`store`] | typed operations on a session's keys |
//! | [`connections`] | the connections a process keeps between requests |
//! | [`connection`] | one logged-in connection |
//! | [`socket`], [`tls`], [`resp`] | bytes with a deadline, encryption, the protocol |
//! | [`save_path`], [`settings`] | what the user configured |
//! | [`log`] | where events go |
//! | [`key`] | session ids and the keys made of them |
//! | [`error`] | why something failed, in words for the operator |
//!
//! Invariants that hold everywhere:
//! - A connection that failed in any way is never used again.
//! - A session id is checked before it becomes part of a key.
//! - No message holds a password, a session id or session data.
//! - Nothing but `php` calls PHP, and nothing is owned while PHP is called.

pub mod connection;
pub mod connections;
pub mod error;
pub mod handler;
pub mod key;
pub mod log;
pub mod resp;
pub mod save_path;
pub mod settings;
pub mod socket;
pub mod store;
pub mod tls;

#[cfg(feature = "php")]
mod php;
