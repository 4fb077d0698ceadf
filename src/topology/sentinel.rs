//! Finds the primary of a service through its sentinels.
//!
//! The answer is kept until an exchange with that server fails, or the
//! sentinels say that another one takes its place. Then they are asked until
//! one has a later configuration.

mod messages;
pub mod report;
mod subscription;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::contract::{ReadRouting, RetryDecision, SessionLocation, Shard, Topology};
use super::retry::has_moved;
use crate::client::endpoint::{AttemptError, Endpoint};
use crate::client::login::Role;
use crate::client::pools::Pools;
use crate::config::save_path;
use crate::config::server::{Address, Host};
use crate::error::Error;
use crate::key::{Keys, STANDALONE_PREFIX, Sid};

use report::{PrimaryReport, request_report, request_whether_replica, resolve};
use subscription::Subscriptions;

/// How long a sentinel is believed that it is making another server the
/// primary. The other sentinels undo what has not succeeded by then.
const PROMOTION: Duration = Duration::from_secs(10);

/// A sentinel needs a tick of its timer, of which there are 10 to 20 a second,
/// between announcing and performing a promotion: a shorter exchange cannot span
/// both.
const PROMPT: Duration = Duration::from_millis(25);

/// The sentinels of one service, and the primary they named.
pub(super) struct Sentinel {
    path: save_path::Sentinel,
    pools: Arc<Pools>,
    sentinels: Vec<Arc<Endpoint>>,
    subscriptions: Arc<Subscriptions>,
    state: Mutex<State>,
    changes: AtomicU64,
}

#[derive(Default)]
struct State {
    /// The last one that was named; its connections are used again if it is
    /// named again.
    primary: Option<Arc<Endpoint>>,
    /// The epoch of the configuration that it was named in: an earlier one is
    /// out of date.
    epoch: u64,
    /// Whether it has failed since.
    failed: bool,
    /// The sentinel to begin with, where there is reason to ask.
    ask_first: Option<usize>,
    /// Since when another one is being made the primary.
    leaving: Option<Instant>,
    /// Which sentinel named it. The next time another one is asked first, so
    /// that one with a wrong answer does no lasting harm.
    named_by: usize,
}

impl Sentinel {
    /// Connects to nothing.
    pub(super) fn new(path: save_path::Sentinel, pools: &Arc<Pools>) -> Self {
        let endpoint = |host: &Host| Arc::new(Endpoint::new(host.clone(), Role::Any, pools));
        let sentinels: Vec<_> = path.sentinels.iter().map(endpoint).collect();
        let runtime = pools.runtime().clone();
        let subscriptions = Arc::new(Subscriptions::new(&path.service, &sentinels, runtime));
        Self {
            path,
            pools: pools.clone(),
            sentinels,
            subscriptions,
            state: Mutex::default(),
            changes: AtomicU64::new(0),
        }
    }

    /// The primary: the one that is known, or the one the sentinels name, who
    /// are asked and waited for then. From the first time on they are listened
    /// to, by other threads.
    ///
    /// # Errors
    /// [`Error::Connect`] tells what each sentinel said, or that another
    /// server is being made the primary.
    fn find_primary(&self) -> Result<Arc<Endpoint>, Error> {
        let first = match self.take_news() {
            Ok(primary) => return Ok(primary),
            Err(first) => first,
        };
        let before = self.known_primary();
        let (index, report) = self.request_reports(first)?;
        if self.path.server.persistent {
            self.subscriptions.start();
        }
        let mut state = self.state();
        let is_overtaken = match (&before, &state.primary) {
            (Some(before), Some(now)) => !Arc::ptr_eq(before, now),
            (before, now) => before.is_none() && now.is_some(),
        };
        if let Some(now) = state.primary.clone().filter(|_| is_overtaken) {
            return Ok(now); // another thread was faster
        }
        state.named_by = index;
        if report.changing {
            let since = *state.leaving.get_or_insert_with(Instant::now);
            if since.elapsed() < PROMOTION {
                state.ask_first = Some(index);
                return Err(replaced(&report.primary));
            }
        }
        let known = state.primary.take().filter(|known| known.host().address == report.primary);
        let primary = known.unwrap_or_else(|| {
            self.changes.fetch_add(1, Ordering::Relaxed);
            let host = self.path.server.at(report.primary);
            Arc::new(Endpoint::new(host, Role::Primary, &self.pools))
        });
        let (primary_of_state, epoch) = (Some(primary.clone()), report.epoch);
        *state = State { primary: primary_of_state, epoch, named_by: index, ..State::default() };
        Ok(primary)
    }

    /// Reads what the sentinels have published since the last time. Returns the
    /// primary that is known, unless there is reason to ask: then the number of
    /// the sentinel to begin with, which is the one with the news.
    fn take_news(&self) -> Result<Arc<Endpoint>, usize> {
        let mut state = self.state();
        let Some(primary) = state.primary.clone() else { return Err(state.ask_first.unwrap_or(0)) };
        let news = self.subscriptions.take_news(&primary.host().address);
        if state.leaving.is_none() {
            state.ask_first = news.or(state.ask_first);
        }
        state.ask_first.map_or(Ok(primary), Err)
    }

    fn known_primary(&self) -> Option<Arc<Endpoint>> {
        self.state().primary.clone()
    }

    /// Makes the sentinels be asked again, next time, unless someone has already.
    fn doubt(&self, failed: &Arc<Endpoint>) {
        let mut state = self.state();
        if state.primary.as_ref().is_some_and(|known| Arc::ptr_eq(known, failed)) {
            state.failed = true;
            state.ask_first = state.ask_first.or(Some(state.named_by + 1));
        }
    }

    /// Asks one after another and waits for them, from the one with the number
    /// `first` on; last those that disagreed with the others. The first answer
    /// counts, unless there is reason to doubt it: it is of an earlier
    /// configuration than the known one, or names the server that has failed.
    /// Then all are heard.
    fn request_reports(&self, first: usize) -> Result<(usize, PrimaryReport), Error> {
        let (epoch, failed) = {
            let state = self.state();
            let failed = state.primary.as_ref().filter(|_| state.failed);
            (state.epoch, failed.map(|primary| primary.host().address.clone()))
        };
        let service = &self.path.service;
        let count = self.sentinels.len();
        let mut sentinels: Vec<_> =
            self.sentinels.iter().enumerate().cycle().skip(first % count).take(count).collect();
        sentinels.sort_by_cached_key(|(index, _)| self.subscriptions.is_outlier(*index));
        let (mut doubtful, mut reasons) = (Vec::new(), Vec::new());
        for (index, sentinel) in sentinels {
            let host = &sentinel.host().address;
            match sentinel.run(|connection| request_report(connection, service)) {
                Ok(Some(report)) => {
                    let is_wrong = self.subscriptions.is_outlier(index) || report.epoch < epoch;
                    let has_failed = failed.as_ref() == Some(&report.primary) && !report.changing;
                    if !is_wrong && !has_failed {
                        return Ok((index, report));
                    }
                    doubtful.push((index, report));
                }
                Ok(None) => reasons.push(format!("{host} does not know the service {service}")),
                Err(error) => reasons.push(sentinel.failure(error).in_short()),
            }
        }
        let right = resolve(&doubtful, count, |index, address| {
            self.sentinels.get(index).is_some_and(|sentinel| {
                let answer = sentinel
                    .run(|connection| request_whether_replica(connection, service, address));
                answer.unwrap_or(false)
            })
        });
        right.or(doubtful.first()).cloned().ok_or_else(|| Error::Connect {
            host: format!("service {service}"),
            reason: format!("no sentinel names the primary: {}", reasons.join("; ")),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Topology for Sentinel {
    fn locate(&self, sid: Sid<'_>) -> Result<SessionLocation, Error> {
        let prefix = self.path.server.prefix.as_deref().unwrap_or(STANDALONE_PREFIX);
        Ok(SessionLocation { keys: Arc::new(Keys::new(prefix, sid)), shard: Shard::Primary })
    }

    fn find_server(
        &self,
        _location: &SessionLocation,
        _routing: ReadRouting,
    ) -> Result<Arc<Endpoint>, Error> {
        self.find_primary()
    }

    fn known_server(&self, _location: &SessionLocation) -> Option<Arc<Endpoint>> {
        self.known_primary()
    }

    fn decide(
        &self,
        _location: &SessionLocation,
        _routing: ReadRouting,
        failed: &Arc<Endpoint>,
        error: &AttemptError,
    ) -> RetryDecision {
        if !has_moved(error) {
            return RetryDecision::Nowhere;
        }
        self.doubt(failed);
        RetryDecision::Elsewhere { at_once: false }
    }

    /// A primary that is replaced as planned answers for a while after its
    /// successor has left it; but the sentinels tell before that. If the exchange
    /// took long, they may have told in between. The first time, waits up to
    /// 250 ms until they are listened to.
    fn confirm_still_serves(&self, server: &Arc<Endpoint>, found_at: Instant) -> Result<(), Error> {
        let all_is_heard = !self.path.server.persistent
            || !self.subscriptions.wait_for_start() && !self.subscriptions.has_initial_report();
        if all_is_heard && found_at.elapsed() < PROMPT {
            return Ok(());
        }
        match self.find_primary() {
            Ok(now) if Arc::ptr_eq(&now, server) => Ok(()),
            Ok(_) | Err(_) => Err(replaced(&server.host().address)),
        }
    }

    fn blame(&self, _location: &SessionLocation) -> String {
        let named_by = self.state().named_by;
        let sentinel = self.sentinels.get(named_by).map(|sentinel| &sentinel.host().address);
        sentinel.map_or_else(String::new, |name| format!("; sentinel {name} named this server"))
    }

    fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    fn retry_interval(&self) -> Duration {
        self.path.server.retry_interval
    }

    fn end_request(&self) {
        self.sentinels.iter().for_each(|sentinel| sentinel.end_request());
        if let Some(primary) = self.known_primary() {
            primary.end_request();
        }
        if !self.path.server.persistent {
            *self.state() = State::default(); // no one listens: ask each time
        }
    }
}

/// The failure of using a primary that is about to be none.
fn replaced(primary: &Address) -> Error {
    let reason = "this primary is being replaced by another server".to_owned();
    Error::Connect { host: primary.to_string(), reason }
}
