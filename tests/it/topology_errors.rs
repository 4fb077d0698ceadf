//! Seeds and sentinels that are down, wrong or lying; parts of a cluster that
//! are down; replicas that may answer reads, or must confirm writes.
//!
//! - `sentinels`, `seeds`: those that the save path names
//! - `replicas`: what they may answer, and must confirm
//! - `logins`: TLS and a user of the servers' own
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod logins;
mod replicas;
mod seeds;
mod sentinels;

use std::time::Duration;

use crate::support::php::Php;
use crate::support::site::Visit;

const COUNT: &str = "session_start(); echo $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);";
const READ: &str = "session_start(['read_and_close' => true]); echo $_SESSION['n'] ?? 'none';";

fn php(handler: &str, save_path: &str) -> Php {
    Php::new()
        .ini("session.save_handler", handler)
        .ini("session.save_path", save_path)
        .ini("redis_session.failover_timeout", "1")
}

#[track_caller]
fn assert_warning(visit: &Visit, words: &[&str]) {
    let warning = visit.warning();
    assert!(warning.starts_with("session_start(): Redis connection not available: "), "{warning}");
    for word in words {
        assert!(warning.contains(word), "{word} is missing: {warning}");
    }
    assert!(visit.took < Duration::from_millis(2_500), "{:?}", visit.took);
}
