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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;
    use crate::client::login::Role;
    use crate::client::pools::Pools;
    use crate::config::save_path::{SavePath, Topology as Form};
    use crate::key::{Keys, STANDALONE_PREFIX, Sid};
    use crate::runtime::Runtime;
    use crate::topology::contract::Shard;

    const AT_ONCE: RetryDecision = RetryDecision::Elsewhere { at_once: true };
    const LATER: RetryDecision = RetryDecision::Elsewhere { at_once: false };

    /// A topology of one server, with decisions that are given.
    struct Scripted {
        server: Arc<Endpoint>,
        decisions: Mutex<VecDeque<RetryDecision>>,
    }

    impl Topology for Scripted {
        fn locate(&self, sid: Sid<'_>) -> Result<SessionLocation, Error> {
            Ok(SessionLocation {
                keys: Arc::new(Keys::new(STANDALONE_PREFIX, sid)),
                shard: Shard::Primary,
            })
        }

        fn find_server(&self, _: &SessionLocation, _: ReadRouting) -> Result<Arc<Endpoint>, Error> {
            Ok(self.server.clone())
        }

        fn known_server(&self, _: &SessionLocation) -> Option<Arc<Endpoint>> {
            Some(self.server.clone())
        }

        fn decide(
            &self,
            _: &SessionLocation,
            _: ReadRouting,
            _: &Arc<Endpoint>,
            _: &AttemptError,
        ) -> RetryDecision {
            self.decisions.lock().unwrap().pop_front().expect("no more attempts were expected")
        }

        fn blame(&self, _: &SessionLocation) -> String {
            "; so I was told".to_owned()
        }

        fn retry_interval(&self) -> Duration {
            Duration::ZERO
        }

        fn end_request(&self) {}
    }

    fn server() -> Arc<Endpoint> {
        let pools = Arc::new(Pools::new(Arc::new(Runtime::new(2))));
        match SavePath::parse("h").unwrap().save_path.topology() {
            Form::Standalone(list) => {
                Arc::new(Endpoint::new(list.first.clone(), Role::Any, &pools))
            }
            other => panic!("{other:?}"),
        }
    }

    /// How many attempts are made, of which all before `good` fail, and whether
    /// the last was a success: then, whether another server may be the primary.
    fn attempts(
        decisions: impl IntoIterator<Item = RetryDecision>,
        good: usize,
        failover_budget: Duration,
    ) -> (usize, Result<bool, String>) {
        let decisions = Mutex::new(decisions.into_iter().collect());
        let topology = Scripted { server: server(), decisions };
        let location = topology.locate(Sid::new(b"abc").unwrap()).unwrap();
        let mut made = 0;
        let routing = ReadRouting::Primary;
        let answer = with_retries(&topology, &location, routing, failover_budget, |_| {
            made += 1;
            match made < good {
                true => Err(AttemptError::Connect(Error::Connect {
                    host: "h".to_owned(),
                    reason: "refused".to_owned(),
                })),
                false => Ok(()),
            }
        });
        (made, answer.map(|it| it.disturbed).map_err(|error| error.in_short()))
    }

    const NEVER: usize = usize::MAX;
    const LONG: Duration = Duration::from_secs(60);

    fn failed() -> Result<bool, String> {
        Err("h: refused; so I was told".to_owned())
    }

    #[test]
    fn an_answer_that_stands_is_not_asked_for_again() {
        assert_eq!(attempts([], 1, LONG), (1, Ok(false)));
        assert_eq!(attempts([RetryDecision::Nowhere], NEVER, LONG), (1, failed()));
    }

    #[test]
    fn a_name_is_looked_up_once_more_and_not_twice() {
        let renamed = || [RetryDecision::Renamed, RetryDecision::Renamed];
        assert_eq!(attempts(renamed(), NEVER, LONG), (2, failed()));
        assert_eq!(attempts(renamed(), 2, Duration::ZERO), (2, Ok(true)));
    }

    #[test]
    fn servers_that_redirect_in_a_circle_are_asked_four_times_without_a_pause() {
        assert_eq!(attempts([AT_ONCE; 4], NEVER, Duration::ZERO), (4, failed()));
        assert_eq!(attempts([AT_ONCE; 4], 4, Duration::ZERO), (4, Ok(true)));
    }

    #[test]
    fn a_pause_is_part_of_the_failover_budget() {
        assert_eq!(attempts([LATER], NEVER, Duration::ZERO), (1, failed()));
        assert_eq!(attempts([LATER, LATER], 3, LONG), (3, Ok(true)));
    }

    #[test]
    fn another_server_answers_once_in_place_of_the_one_that_failed() {
        let once = || RetryDecision::Once(server());
        assert_eq!(attempts([once()], 2, Duration::ZERO), (2, Ok(false)));
        assert_eq!(attempts([once()], NEVER, Duration::ZERO), (2, failed()));
        assert_eq!(attempts([once(), LATER], 4, LONG), (4, Ok(true)));
    }
}
