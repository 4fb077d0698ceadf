//! Trying again where a session is now, until the failover budget is spent.
//!
//! What failed decides how: the topology says where to try, this module when
//! and how often. All exchanges may be repeated: they store the same bytes, or
//! act only while our token holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::contract::{ReadRouting, RetryDecision, SessionLocation, Topology};
use crate::client::endpoint::{AttemptError, Endpoint};
use crate::config::server::Address;
use crate::error::{Error, answered_code, ends_connection};
use crate::runtime::deadline::left;

/// First and longest pause between two attempts; a failover is noticed no
/// later than the longest one after it happened.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// What an exchange came to.
pub(super) struct Answer<T> {
    pub(super) value: T,
    /// Whether an attempt failed before, so that another server may be the
    /// primary now.
    pub(super) disturbed: bool,
}

/// One exchange, wherever it takes place.
struct Attempts<'a> {
    topology: &'a dyn Topology,
    location: &'a SessionLocation,
    routing: ReadRouting,
    /// A server that let us wait once. After that it is only tried in passing.
    silent: Option<Address>,
}

/// An attempt that failed, and what to do about it.
struct Failure {
    error: Error,
    decision: RetryDecision,
}

/// Makes `attempt` at the server of `location`, and again as `topology` decides.
/// Waits between two attempts, for no longer than `failover_budget` after the
/// first failure.
///
/// # Errors
/// [`Error::Connect`], [`Error::Exchange`] or [`Error::Refused`]: the last failure.
pub(super) fn with_retries<T>(
    topology: &dyn Topology,
    location: &SessionLocation,
    routing: ReadRouting,
    failover_budget: Duration,
    mut attempt: impl FnMut(&Endpoint) -> Result<T, AttemptError>,
) -> Result<Answer<T>, Error> {
    let mut budget = Budget::new(failover_budget, topology.retry_interval());
    let mut attempts = Attempts { topology, location, routing, silent: None };
    let (mut renamed, mut disturbed) = (false, false);
    loop {
        let Failure { error, decision } = match attempts.make(&mut attempt) {
            Ok(value) => return Ok(Answer { value, disturbed }),
            Err(failure) => failure,
        };
        disturbed = true;
        match decision {
            RetryDecision::Nowhere => return Err(error),
            RetryDecision::Renamed if renamed => return Err(error),
            RetryDecision::Renamed => {
                renamed = true;
                tracing::info!(outcome = %error, "looking its name up again");
            }
            RetryDecision::Once(instead) => {
                if let Ok(value) = attempt(&instead) {
                    return Ok(Answer { value, disturbed: false });
                }
                if !budget.pause() {
                    return Err(error);
                }
            }
            RetryDecision::Elsewhere { at_once } => {
                let in_time = (at_once && budget.take_hurry()) || budget.pause();
                if !in_time {
                    return Err(error);
                }
                tracing::info!(outcome = %error, "trying again");
            }
        }
    }
}

impl Attempts<'_> {
    /// Makes one, where the session is now as far as the topology knows.
    fn make<T>(
        &mut self,
        attempt: &mut impl FnMut(&Endpoint) -> Result<T, AttemptError>,
    ) -> Result<T, Failure> {
        let elsewhere =
            |error| Failure { error, decision: RetryDecision::Elsewhere { at_once: false } };
        let found_at = Instant::now();
        // Where no one knew the server, that may change.
        let server = self.topology.find_server(self.location, self.routing).map_err(elsewhere)?;
        let is_silent = self.silent.as_ref() == Some(&server.host().address);
        let answer = match is_silent {
            true => attempt(&server.with_timeout_cap(LONGEST_PAUSE)),
            false => attempt(&server),
        };
        match answer {
            Ok(value) => {
                self.topology.confirm_still_serves(&server, found_at).map_err(elsewhere)?;
                Ok(value)
            }
            Err(error) => Err(self.failure(&server, error)),
        }
    }

    /// What `error` of `server` means. May ask servers and wait for them.
    fn failure(&mut self, server: &Arc<Endpoint>, error: AttemptError) -> Failure {
        if is_wrong_server(&error) {
            server.start_anew();
        }
        let decision = self.topology.decide(self.location, self.routing, server, &error);
        if error.may_be_timeout() {
            self.silent = Some(server.host().address.clone());
        }
        let error = match server.failure(error) {
            Error::Connect { host, reason } => {
                let blame = self.topology.blame(self.location);
                Error::Connect { host, reason: format!("{reason}{blame}") }
            }
            error => error,
        };
        Failure { error, decision }
    }
}

/// Whether `error` may mean that the session is served elsewhere now, or will
/// be soon.
pub fn has_moved(error: &AttemptError) -> bool {
    match error {
        AttemptError::Connect(_) => true,
        AttemptError::Exchange(answer) => {
            ends_connection(answer)
                || is_wrong_server(error)
                || is_unsettled(error)
                || matches!(answered_code(answer), Some("UNBLOCKED" | "MOVED" | "ASK"))
        }
    }
}

/// Whether a server has answered that it is none to be used: it was demoted,
/// say, and goes on serving those who are connected. The name that led to it
/// may lead to its successor by now.
pub(super) fn is_wrong_server(error: &AttemptError) -> bool {
    let AttemptError::Exchange(error) = error else { return false };
    matches!(answered_code(error), Some("READONLY" | "LOADING" | "MASTERDOWN" | "NOREPLICAS"))
}

/// Whether the right server, or a proxy before a cluster, has answered that
/// things change right now.
pub(super) fn is_unsettled(error: &AttemptError) -> bool {
    let AttemptError::Exchange(error) = error else { return false };
    matches!(answered_code(error), Some("CLUSTERDOWN" | "TRYAGAIN"))
}

/// How long a failover may still take. It starts with the first failure.
struct Budget {
    total: Duration,
    ends: Option<Instant>,
    least: Duration,
    pause: Duration,
    hurries: u32,
}

impl Budget {
    /// Most attempts without a pause: a redirection, and one that changed
    /// meanwhile. Servers that redirect in a circle must not be hammered.
    const MAX_HURRIES: u32 = 3;

    fn new(total: Duration, least: Duration) -> Self {
        Self { total, ends: None, least, pause: FIRST_PAUSE, hurries: 0 }
    }

    /// Takes one of the attempts without a pause, if there is one left.
    fn take_hurry(&mut self) -> bool {
        self.hurries += 1;
        self.hurries <= Self::MAX_HURRIES
    }

    /// Waits before the next attempt. Returns false when it is too late.
    fn pause(&mut self) -> bool {
        let now = Instant::now();
        let ends = *self.ends.get_or_insert(now + left(self.total));
        if now >= ends {
            return false;
        }
        // Workers that failed together must not come back together.
        let jitter = self.pause.mul_f64(random_share() / 2.0);
        let pause = (self.pause - jitter).max(self.least).min(ends - now);
        std::thread::sleep(pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

/// From 0 to 1.
pub fn random_share() -> f64 {
    let mut byte = [0];
    // Without random numbers the pauses are merely alike.
    let _ = getrandom::fill(&mut byte);
    f64::from(byte.first().copied().unwrap_or(0)) / 255.0
}
