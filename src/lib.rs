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
//!
//! None of this is an API: the modules are public for the tests, the fuzz targets
//! and the benchmarks of this repository. The feature `sealed` makes them private,
//! so that the compiler sees what is not used.

#[cfg(feature = "sealed")]
mod client;
#[cfg(not(feature = "sealed"))]
pub mod client;
#[cfg(feature = "sealed")]
mod config;
#[cfg(not(feature = "sealed"))]
pub mod config;
#[cfg(feature = "sealed")]
mod error;
#[cfg(not(feature = "sealed"))]
pub mod error;
#[cfg(feature = "sealed")]
mod key;
#[cfg(not(feature = "sealed"))]
pub mod key;
#[cfg(feature = "sealed")]
mod lock;
#[cfg(not(feature = "sealed"))]
pub mod lock;
#[cfg(feature = "sealed")]
mod log;
#[cfg(not(feature = "sealed"))]
pub mod log;
#[cfg(feature = "sealed")]
mod registry;
#[cfg(not(feature = "sealed"))]
pub mod registry;
#[cfg(feature = "sealed")]
mod runtime;
#[cfg(not(feature = "sealed"))]
pub mod runtime;
#[cfg(feature = "sealed")]
mod session;
#[cfg(not(feature = "sealed"))]
pub mod session;
#[cfg(feature = "sealed")]
mod topology;
#[cfg(not(feature = "sealed"))]
pub mod topology;

#[cfg(feature = "php")]
mod php;
