//! A PHP session save handler for Redis and Valkey, the drop-in replacement
//! for phpredis'.
//!
//! The layers from top to bottom. Each imports those below it, never one above;
//! a test holds them to it:
//!
//! | layer | owns |
//! |---|---|
//! | `php` | the module that PHP loads, its callbacks and INI entries; the only unsafe code |
//! | [`registry`] | what one process keeps for its requests |
//! | [`session`] | one open session: what each callback asks for, operations without a lock, the stored form |
//! | [`lock`] | the lock's value, its scripts, waiting for it and renewing it |
//! | [`topology`] | which server a session is on, and trying again when that changes |
//! | [`client`] | the connections to one server: names, sockets, TLS, login, the protocol, pools |
//! | [`config`] | what the user configured: settings, and what a save path means |
//! | [`runtime`] | deadlines, threads that PHP does not notice, forks |
//! | [`key`] | session ids, and the keys made of them |
//! | [`log`] | where events go |
//! | [`error`] | why something failed |
//!
//! Invariants that hold everywhere:
//! - A connection that failed in any way is never used again.
//! - A locked session is written only by whoever holds its lock.
//! - A session id is checked before it becomes part of a key.
//! - No message holds a password, a session id or session data.
//! - Nothing but `php` calls PHP, and nothing is owned while PHP is called.

pub mod client;
pub mod config;
pub mod error;
pub mod key;
pub mod lock;
pub mod log;
pub mod registry;
pub mod runtime;
pub mod session;
pub mod topology;

#[cfg(feature = "php")]
mod php;
