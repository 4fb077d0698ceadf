//! The one way in which this repository starts Redis or Valkey servers: tests in Rust use this
//! library, everything else the program `scripts/servers`, which is made of it.
//!
//! From top to bottom; a module uses those below it:
//!
//! - `topology`: the topologies by name, with their save path and environment
//! - [`cluster`], [`sentinel`]: several servers that form one service
//! - [`server`]: one server, from its configuration to its end
//! - [`certs`]: certificates; [`resp`]: a client that asks a server things
//! - [`process`], [`wait`], [`port`], [`folder`], [`error`]: what all of them need
//!
//! Everything listens on 127.0.0.1 alone and is stopped on Drop. No server keeps data on disk.

pub mod certs;
pub mod cluster;
pub mod error;
pub mod folder;
pub mod port;
pub mod process;
pub mod resp;
pub mod sentinel;
pub mod server;
pub mod topology;
pub mod wait;

pub use error::{Error, Result};
pub use server::Server;
