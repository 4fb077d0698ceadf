//! Keeps locks while their requests live.
//!
//! A lock that ends by itself soon is free soon after its holder is
//! killed; to keep it for a long request, its lease starts again after each
//! third. A lock is forgotten when its request is.
//!
//! Nor must the session end before the request that uses it: where little is
//! left of its time to live, that starts again with the lease.
//!
//! Asking a server may take long, and the helper thread has to make room in
//! the pools of connections meanwhile. So the helper only looks at the clock:
//! the work is done by threads of its own, one for each server, which end
//! when nothing is due. Most requests end before their first third does, and
//! then there is no such thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use scheduled_thread_pool::ScheduledThreadPool;

use crate::error::Error;
use crate::lock::held::HeldLock;
use crate::lock::scripts::LockedOutcome;
use crate::runtime::Runtime;
use crate::runtime::fork;
use crate::runtime::threads::without_signals;

/// Most servers that are asked at a time. The others are asked by whichever
/// thread is done first.
const MAX_THREADS: usize = 32;
/// Part of a lease after which a renewal that failed is tried again.
const RETRY: u32 = 20;

/// The locks of one process that are renewed.
pub struct LockRenewer {
    runtime: Arc<Runtime>,
    schedule: Mutex<Schedule>,
}

#[derive(Default)]
struct Schedule {
    locks: Vec<Lease>,
    /// When the helper looks next.
    wakes: Option<Instant>,
    /// The servers that are being asked.
    busy: Vec<String>,
}

struct Lease {
    held: Weak<HeldLock>,
    /// When its lease has to be started again.
    due: Instant,
    /// Whether that has failed the last time.
    failing: bool,
}

impl LockRenewer {
    /// Starts nothing.
    pub fn new(runtime: Arc<Runtime>) -> Self {
        Self { runtime, schedule: Mutex::default() }
    }

    /// Renews `held` for as long as its request keeps it. Starts the helper thread.
    pub fn keep(self: &Arc<Self>, held: &Arc<HeldLock>) {
        let due = Instant::now() + held.period();
        let mut schedule = self.schedule();
        // Those of ended requests are dropped here; the helper seldom comes.
        schedule.locks.retain(|lock| lock.held.strong_count() > 0);
        schedule.locks.push(Lease { held: Arc::downgrade(held), due, failing: false });
        // Without a helper it ends with its lease.
        if let Some(helper) = self.runtime.start_helper() {
            self.wake_at(&mut schedule, helper, due);
        }
    }

    /// Makes sure that the helper looks at `due`, or before.
    fn wake_at(
        self: &Arc<Self>,
        schedule: &mut Schedule,
        helper: &ScheduledThreadPool,
        due: Instant,
    ) {
        if schedule.wakes.is_some_and(|wakes| wakes <= due) {
            return;
        }
        schedule.wakes = Some(due);
        let leases = Arc::downgrade(self);
        helper.execute_after(due.saturating_duration_since(Instant::now()), move || {
            if let Some(leases) = leases.upgrade() {
                leases.wake();
            }
        });
    }

    /// Starts a thread for each server that has something due and has none.
    /// Runs in the helper thread, which must not wait.
    fn wake(self: &Arc<Self>) {
        let mut schedule = self.schedule();
        schedule.wakes = None;
        while let Some((server, _)) = schedule.next_due(None) {
            if schedule.busy.len() >= MAX_THREADS {
                return; // the thread that is done first serves it
            }
            schedule.busy.push(server.clone());
            let leases = self.clone();
            let name = "redis-session-l".to_owned(); // a name has 15 letters
            let serve = {
                let server = server.clone();
                move || leases.serve(server)
            };
            if let Err(error) = without_signals(|| thread::Builder::new().name(name).spawn(serve)) {
                tracing::warn!(
                    host = server,
                    operation = "renew",
                    outcome = "no thread can be started: locks of long requests may end early",
                    reason = %error
                );
                schedule.busy.retain(|busy| *busy != server);
                schedule.put_off(&server);
            }
        }
        self.plan(&mut schedule);
    }

    /// Renews what is due on `server`, then what else no thread sees to.
    fn serve(self: Arc<Self>, mut server: String) {
        loop {
            let mut schedule = self.schedule();
            let Some((next, held)) =
                schedule.next_due(Some(&server)).or_else(|| schedule.next_due(None))
            else {
                schedule.busy.retain(|busy| *busy != server);
                return self.plan(&mut schedule);
            };
            if next != server {
                schedule.busy.retain(|busy| *busy != server);
                schedule.busy.push(next.clone());
                server = next;
            }
            schedule.postpone(&held, held.period());
            drop(schedule); // requests go on while the server is asked
            let renewed = fork::kept_waiting(|| held.renew());
            self.conclude(&held, renewed);
        }
    }

    fn conclude(&self, held: &Arc<HeldLock>, renewed: Result<LockedOutcome, Error>) {
        let failure = match renewed {
            Ok(LockedOutcome::Done) => {
                tracing::debug!(operation = "renew", outcome = "ok");
                None
            }
            // The request has ended meanwhile, or will hear of it when it writes.
            Ok(LockedOutcome::Lost | LockedOutcome::Gone) => {
                tracing::debug!(operation = "renew", outcome = "no longer held");
                None
            }
            Err(error) => Some(error),
        };
        let mut schedule = self.schedule();
        let was_failing = schedule.set_failing(held, failure.is_some());
        if let Some(error) = failure {
            schedule.postpone(held, held.period() * 3 / RETRY);
            drop(schedule);
            if !was_failing {
                tracing::warn!(operation = "renew", outcome = %error);
            }
        }
    }

    /// Lets the helper look again when something will be due that no thread
    /// sees to now.
    fn plan(self: &Arc<Self>, schedule: &mut Schedule) {
        schedule.locks.retain(|lock| lock.held.strong_count() > 0);
        let due = schedule.locks.iter().filter(|lock| !schedule.is_seen_to(lock));
        let due = due.map(|lock| lock.due).min();
        if let (Some(due), Some(helper)) = (due, self.runtime.running_helper()) {
            self.wake_at(schedule, helper, due);
        }
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Schedule {
    /// What has been due for the longest time, and on which server: on `ours`,
    /// or else on one that no thread asks now.
    fn next_due(&self, ours: Option<&str>) -> Option<(String, Arc<HeldLock>)> {
        let now = Instant::now();
        let mut due: Vec<_> = self.locks.iter().filter(|lock| lock.due <= now).collect();
        due.sort_unstable_by_key(|lock| lock.due);
        due.into_iter().find_map(|lock| {
            let held = lock.held.upgrade()?;
            let server = held.backend.name(&held.location);
            let is_wanted = match ours {
                Some(ours) => server == ours,
                None => !self.busy.contains(&server),
            };
            is_wanted.then_some((server, held))
        })
    }

    /// Whether a thread asks the server of `lock` now.
    fn is_seen_to(&self, lock: &Lease) -> bool {
        let server = lock.held.upgrade().map(|held| held.backend.name(&held.location));
        server.is_some_and(|server| self.busy.contains(&server))
    }

    fn lease_of(&mut self, held: &Arc<HeldLock>) -> Option<&mut Lease> {
        self.locks.iter_mut().find(|lock| lock.held.as_ptr() == Arc::as_ptr(held))
    }

    fn postpone(&mut self, held: &Arc<HeldLock>, time: Duration) {
        if let Some(lease) = self.lease_of(held) {
            lease.due = Instant::now() + time;
        }
    }

    fn set_failing(&mut self, held: &Arc<HeldLock>, failing: bool) -> bool {
        self.lease_of(held).is_some_and(|lease| std::mem::replace(&mut lease.failing, failing))
    }

    /// Nothing can be done for this server now.
    fn put_off(&mut self, server: &str) {
        while let Some((_, held)) = self.next_due(Some(server)) {
            self.postpone(&held, held.period());
        }
    }
}
