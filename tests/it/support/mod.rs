//! What the integration tests share: real servers, a recording proxy, real PHP.
//!
//! - `process`: child processes that never outlive their owner; waiting for conditions
//! - `servers`: a real Redis server per test; `pki`: odd certificates. What starts servers
//!   and makes certificates is the library `tools/servers`
//! - `proxy`: a TCP proxy that counts round trips and injects faults;
//!   `resp`: where commands and replies end in a byte stream
//! - `php`: PHP's command line with this extension; `fpm`: php-fpm with it;
//!   `fastcgi`: the client that talks to php-fpm; `site`: one worker, visit by visit
//! - `cluster`, `sentinel`: several servers whose roles change; `scripted`: a server
//!   that lies; `middlemen`: twemproxy and Envoy; `load`: workers that count, and notice what is lost
//!
//! Everything listens on loopback alone and stops what it started on Drop. So
//! keep these values in the test, not in a `static`: statics are never dropped.

// Tests stop at the first surprise, and each test file uses only a part of this.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    missing_docs
)]

pub mod cluster;
pub mod fastcgi;
pub mod fpm;
pub mod load;
pub mod locking;
pub mod middlemen;
pub mod php;
pub mod pki;
pub mod process;
pub mod proxy;
pub mod resp;
pub mod scripted;
mod selftest;
pub mod sentinel;
pub mod servers;
pub mod site;

/// Says that a test cannot run here, and why; it then passes. cargo hides what a
/// passing test prints, so `scripts/test` has the reasons in the file that
/// `SKIPPED_TESTS` names, and counts them.
pub fn skip(reason: &str) {
    use std::io::Write;
    let line = format!("skipped: {reason}\n");
    match std::env::var_os("SKIPPED_TESTS") {
        // In one write, as other tests may do the same at this moment.
        Some(path) => {
            let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
            file.unwrap().write_all(line.as_bytes()).unwrap();
        }
        None => std::io::stderr().write_all(line.as_bytes()).unwrap(),
    }
}
