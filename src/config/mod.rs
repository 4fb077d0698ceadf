//! What the user configured: INI settings, and what a save path means.
//!
//! [`compression`] and [`encryption`] say how sessions are stored; [`key_files`] keeps the
//! keys for that. [`server`], [`auth`] and [`tls`] are what connections are made from; they
//! know nothing of the parser in [`save_path`].

pub mod auth;
pub mod compression;
pub mod encryption;
pub mod key_files;
pub mod save_path;
pub mod server;
pub mod settings;
pub mod tls;
