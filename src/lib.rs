//! A PHP session save handler for Redis and Valkey, the drop-in replacement
//! for phpredis'.
//!
//! Data flows one way:
//!
//! ```text
//! php ──> handler ──> store, scripts, queue, lease    what is done with a session
//!                       └──> topology ──> sentinel, cluster    where it is
//!                              └──> connections ──> connection    how it is reached
//! ```
//!
//! | module | owns |
//! |---|---|
//! | `php` | the module PHP loads, its callbacks and INI entries; the only unsafe code |
//! | [`handler`] | one open session: what each callback asks for |
//! | [`store`] | operations on a session without a lock |
//! | [`scripts`] | operations on a locked session, each a Lua script of `lua/` |
//! | [`lock`], [`queue`], [`lease`] | who holds a session, waiting for it, keeping it |
//! | [`topology`] | which server a session is on, and trying again when that changes |
//! | [`released`] | locks let go of that a new primary may not know of |
//! | [`sentinel`], [`watch`], [`cluster`] | finding that server, hearing that it changes |
//! | [`process`], [`connections`] | what a process keeps between requests; its connections to one server |
//! | [`threads`], [`fork`] | threads that PHP does not notice, and what a fork must not find one at |
//! | [`connection`], [`login`], [`link`] | one connection, its first words, what it is used for |
//! | [`deadline`] | the end of all that a thread waits for |
//! | [`lookup`], [`socket`], [`tls`], [`resp`] | host names and bytes with a deadline, encryption, the protocol |
//! | [`save_path`], [`settings`] | what the user configured |
//! | [`stored_form`] | whether a session is stored compressed |
//! | [`key`] | session ids and the keys made of them |
//! | [`log`] | where events go |
//! | [`error`] | why something failed, in words for the operator |
//!
//! Invariants that hold everywhere:
//! - A connection that failed in any way is never used again.
//! - A locked session is written only by whoever holds its lock.
//! - A session id is checked before it becomes part of a key.
//! - No message holds a password, a session id or session data.
//! - Nothing but `php` calls PHP, and nothing is owned while PHP is called.

pub mod cluster;
pub mod connection;
pub mod connections;
pub mod deadline;
pub mod error;
pub mod fork;
pub mod handler;
pub mod key;
pub mod lease;
pub mod link;
pub mod lock;
pub mod log;
pub mod login;
pub mod lookup;
pub mod process;
pub mod queue;
pub mod released;
pub mod resp;
pub mod save_path;
pub mod scripts;
pub mod sentinel;
pub mod settings;
pub mod socket;
pub mod store;
pub mod stored_form;
pub mod threads;
pub mod tls;
pub mod topology;
pub mod watch;

#[cfg(feature = "php")]
mod php;
