//! Locks that this process has released lately.
//!
//! A primary that fails takes along what its replica was not told: for example
//! that a lock was released. The new primary still has that lock, and no one
//! releases it, so that others wait until it ends by itself. So the process that released
//! it does so again there: only its own token is removed.
//!
//! A process that is busy hears of a new primary with its next request. One
//! that is idle looks now and then, for as long as such a lock could last,
//! whether its connection has been cut; only then is anybody asked anything.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use scheduled_thread_pool::ScheduledThreadPool;

use crate::error::Error;
use crate::lock::scripts::{LockedOutcome, Scripts};
use crate::lock::token::Token;
use crate::runtime::Runtime;
use crate::runtime::deadline;
use crate::runtime::fork;
use crate::runtime::threads::without_signals;
use crate::topology::{Backend, FailoverListener, ReadRouting, SessionLocation, random_share};

/// Most locks that are remembered. Older ones have long been replicated.
const MOST: usize = 512;
/// How often an idle process looks, and asks once it has seen something.
const LOOK: Duration = Duration::from_millis(250);
/// Longest time for asking once.
const ASK: Duration = Duration::from_secs(1);

/// A lock that was released.
#[derive(Clone)]
pub struct Release {
    /// Where its session is.
    pub location: SessionLocation,
    /// Its value.
    pub token: Token,
    /// The server that was told last.
    pub server: String,
    /// When the lock has ended by itself, wherever it still is.
    pub ends: Instant,
}

/// The latest of them, in order.
pub struct ReleasedLocks {
    runtime: Arc<Runtime>,
    all: Mutex<VecDeque<Release>>,
    /// Whether a look is planned already.
    watched: AtomicBool,
}

impl ReleasedLocks {
    /// Starts nothing.
    pub fn new(runtime: Arc<Runtime>) -> Self {
        Self { runtime, all: Mutex::default(), watched: AtomicBool::new(false) }
    }

    /// Remembers a lock that `server` was told of; it was granted for `lease`.
    pub fn remember(
        &self,
        location: SessionLocation,
        token: Token,
        server: String,
        lease: Duration,
    ) {
        let now = Instant::now();
        let mut all = self.all();
        while all.len() >= MOST || all.front().is_some_and(|oldest| oldest.ends <= now) {
            all.pop_front();
        }
        all.push_back(Release { location, token, server, ends: now + lease });
    }

    /// Takes those out that the server which `serves` their session now was
    /// not told of, the latest first.
    pub fn untold(&self, serves: impl Fn(&SessionLocation) -> String) -> Vec<Release> {
        let now = Instant::now();
        let all = std::mem::take(&mut *self.all());
        let living = all.into_iter().filter(|release| release.ends > now);
        let (untold, told): (Vec<_>, Vec<_>) =
            living.partition(|release| serves(&release.location) != release.server);
        let mut all = self.all();
        let since = std::mem::replace(&mut *all, told.into());
        all.extend(since);
        untold.into_iter().rev().collect()
    }

    /// The latest of each server.
    fn of_each_server(&self) -> Vec<Release> {
        let now = Instant::now();
        let all = self.all();
        let mut latest: Vec<Release> = Vec::new();
        for release in all.iter().rev().filter(|release| release.ends > now) {
            if latest.iter().all(|other| other.server != release.server) {
                latest.push(release.clone());
            }
        }
        latest
    }

    /// Puts one back.
    pub fn put_back(&self, release: Release) {
        self.all().push_front(release);
    }

    /// Releases, at the servers that are primaries now, the locks that were
    /// released when others were. Asks each server once.
    fn repeat(&self, backend: &Backend) {
        for mut release in self.untold(|location| backend.name(location)) {
            let keys = &release.location.keys;
            let told = backend.run_once(&release.location, |connection| {
                Scripts(connection).release(keys, &release.token)
            });
            let Some((server, told)) = told else { continue };
            tracing::info!(host = %server, operation = "release again", outcome = ?told);
            if told.is_ok() {
                release.server = server;
            }
            self.put_back(release);
        }
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<Release>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FailoverListener for ReleasedLocks {
    fn primary_changed(&self, backend: &Backend) {
        self.repeat(backend);
    }
}

impl ReleasedLocks {
    /// Looks, for as long as a lock that was released could last, whether the
    /// server that was told is still there. Starts the helper thread.
    pub(super) fn watch(self: &Arc<Self>, backend: &Arc<Backend>) {
        if !self.watched.swap(true, Ordering::Relaxed) {
            match self.runtime.start_helper() {
                Some(helper) => self.look_later(backend, helper),
                None => self.watched.store(false, Ordering::Relaxed),
            }
        }
    }

    fn look_later(self: &Arc<Self>, backend: &Arc<Backend>, helper: &ScheduledThreadPool) {
        let (released, backend) = (Arc::downgrade(self), Arc::downgrade(backend));
        helper.execute_after(LOOK, move || {
            if let (Some(released), Some(backend)) = (released.upgrade(), backend.upgrade()) {
                released.look(&backend);
            }
        });
    }

    /// Runs in the helper thread, which must not wait.
    fn look(self: &Arc<Self>, backend: &Arc<Backend>) {
        // Before looking: a release that is added later starts a look of its own.
        self.watched.store(false, Ordering::Relaxed);
        let latest = self.of_each_server();
        if latest.is_empty() || self.watched.swap(true, Ordering::Relaxed) {
            return;
        }
        let lost = latest.into_iter().find(|it| backend.is_cut_off(&it.location, &it.server));
        let again = (self.clone(), backend.clone());
        let started = lost.is_some_and(|release| {
            let insist = move || {
                let (released, backend) = again;
                released.insist(&backend, &release);
                if let Some(helper) = released.runtime.running_helper() {
                    released.look_later(&backend, helper);
                }
            };
            let name = "redis-session-r".to_owned(); // a name has 15 letters
            without_signals(|| thread::Builder::new().name(name).spawn(insist)).is_ok()
        });
        if !started && let Some(helper) = self.runtime.running_helper() {
            self.look_later(backend, helper);
        }
    }

    /// Releases that lock again, and with it all others, as soon as there is a
    /// server that takes it. Blocks until then, or until the lock has ended.
    fn insist(&self, backend: &Backend, release: &Release) {
        let location = &release.location;
        while Instant::now() < release.ends {
            let told: Result<LockedOutcome, Error> = fork::kept_waiting(|| {
                deadline::within(ASK, || {
                    let primary = ReadRouting::Primary;
                    let told = backend.run(location, primary, Duration::ZERO, |connection| {
                        Scripts(connection).release(&location.keys, &release.token)
                    });
                    if told.is_ok() {
                        self.repeat(backend);
                    }
                    told
                })
            });
            if told.is_ok() {
                return;
            }
            thread::sleep(LOOK.mul_f64(1.0 - random_share() / 2.0));
        }
    }
}
