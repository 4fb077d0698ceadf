//! How long a request waits, and how often it shows that it lives.

use std::time::{Duration, Instant};

use crate::config::settings::LockPolicy;
use crate::lock::scripts::CLAIM_WINDOW;
use crate::lock::token::Holder;
use crate::topology::Backend;

/// Longest time without serving PHP's signals.
pub(super) const SLICE: Duration = Duration::from_secs(1);
/// Shortest wait: a server that answers at once must not be asked in a loop.
pub(super) const MIN_WAIT: Duration = Duration::from_millis(10);
/// Added to the time a lock has left, as clocks and rounding differ.
pub(super) const MARGIN: Duration = Duration::from_millis(5);
/// Time between two heartbeats. A silent server is noticed after it, and a baton
/// that was lost with a dying waiter delays the others by no more.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The same where the server may change, as a BLPOP at the former one may never
/// be answered; and where the number of waiters is limited, as one that was
/// killed keeps another out.
const FAST_HEARTBEAT: Duration = Duration::from_millis(500);
/// How much later than that a heartbeat may come before the waiter is forgotten.
const LATE: Duration = Duration::from_millis(1500);
/// The same where the number of waiters is limited.
const LATE_WHERE_LIMITED: Duration = Duration::from_millis(750);
/// How long a request whose turn it is not lets those go first that came before.
pub(super) const YIELD: Duration = Duration::from_millis(10);
/// Longest wait for replicas to have the lock, where `wait_replicas` is set:
/// a lock that they do not have is lost if the primary fails right now, but
/// nothing is written without it.
pub(super) const MAX_CONFIRMATION: Duration = Duration::from_millis(100);
/// How long a request without a limit waits at a time.
pub(super) const ENDLESS: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn time_until(time: Instant) -> Duration {
    time.saturating_duration_since(Instant::now())
}

fn heartbeat_interval(backend: &Backend, policy: &LockPolicy) -> Duration {
    if policy.max_waiters == 0 && !backend.is_changing() { HEARTBEAT } else { FAST_HEARTBEAT }
}

/// How long after a heartbeat a waiter is forgotten.
pub(super) fn waiter_lifetime(backend: &Backend, policy: &LockPolicy) -> Duration {
    let late = if policy.max_waiters == 0 { LATE } else { LATE_WHERE_LIMITED };
    heartbeat_interval(backend, policy) + late
}

/// When to send the next heartbeat, for a lock that `expires` after that time
/// and has this `holder`.
pub(super) fn next_heartbeat(
    backend: &Backend,
    policy: &LockPolicy,
    expires: Option<Duration>,
    holder: &Holder,
) -> Instant {
    let regular = heartbeat_interval(backend, policy);
    let time = match (expires, holder) {
        (_, Holder::Foreign) => policy.poll,
        (Some(expires), Holder::Next) => (expires + MARGIN).min(CLAIM_WINDOW / 2),
        (Some(expires), Holder::Request { .. }) => expires + MARGIN,
        (None, _) => regular,
    };
    Instant::now() + time.clamp(MIN_WAIT, regular)
}
