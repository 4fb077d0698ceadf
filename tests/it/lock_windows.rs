//! The windows between the steps to a lock, one by one: whoever dies, gives up
//! or finds the session gone there leaves nobody asleep beside a free lock.
//!
//! - `baton`: the baton on its way from one holder to the next
//! - `counted`: who is counted as waiting
//! - `destroyed`: a session that is destroyed during the wait for it
//! - `servers`: servers and holders that are silent, foreign or old
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

mod baton;
mod counted;
mod destroyed;
mod servers;

use std::time::Duration;

/// After how long at most a waiter asks how things are.
const LOOKS_AGAIN: Duration = Duration::from_secs(5);
/// For what takes no time: only so long that a busy machine can do it.
const MARGIN: Duration = Duration::from_secs(2);
