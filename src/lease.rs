//! Keeps locks while their requests live.
//!
//! A lock that ends by itself soon is let go of soon when its holder is
//! killed; to keep it for a long request, the helper thread starts its lease
//! again after each third. It forgets a lock when the request does.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::key::Sid;
use crate::lock::Token;
use crate::process::Process;
use crate::scripts::{Kept, Scripts};
use crate::topology::{Access, Place, Target};

/// A lock that this process holds.
pub struct Held {
    /// The session it is for.
    pub sid: Sid,
    /// Where that session is.
    pub place: Place,
    /// The lock's value while it is ours.
    pub token: Token,
    /// When it ends by itself.
    pub lease: Duration,
    /// The servers it is kept on.
    pub target: Arc<Target>,
    /// The one that gave it.
    pub server: String,
}

/// The locks of one process that are renewed.
#[derive(Default)]
pub struct Leases(Mutex<Schedule>);

#[derive(Default)]
struct Schedule {
    /// Each lock, and when its lease has to be started again.
    locks: Vec<(Instant, Weak<Held>)>,
    /// When the helper thread looks next.
    wakes: Option<Instant>,
}

impl Leases {
    /// Renews `held` for as long as somebody keeps it.
    pub fn keep(&self, process: &Process, held: &Arc<Held>) {
        let due = Instant::now() + held.lease / 3;
        let mut schedule = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of ended requests are dropped here; the helper seldom comes.
        schedule.locks.retain(|(_, lock)| lock.strong_count() > 0);
        schedule.locks.push((due, Arc::downgrade(held)));
        schedule.wake_at(process, due);
    }

    /// Renews what is due. Runs in the helper thread.
    fn renew(&self, process: &Process) {
        let now = Instant::now();
        let mut due = Vec::new();
        {
            let mut schedule = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            schedule.wakes = None;
            for (at, lock) in &mut schedule.locks {
                if *at <= now
                    && let Some(held) = lock.upgrade()
                {
                    *at = now + held.lease / 3;
                    due.push(held);
                }
            }
        }
        // No lock is held while the server is asked: requests go on.
        for held in due {
            // No longer than until the next time: others wait for this thread.
            let renewed = held.target.run(&held.place, Access::Primary, held.lease / 3, |link| {
                Scripts(link).renew(&held.place.keys, &held.token, held.lease)
            });
            match renewed {
                Ok(Kept::Done) => tracing::debug!(operation = "renew", outcome = "ok"),
                // The request has ended meanwhile, or will hear of it when it writes.
                Ok(Kept::Lost | Kept::Gone) => {
                    tracing::debug!(operation = "renew", outcome = "not held any more");
                }
                Err(error) => tracing::warn!(operation = "renew", outcome = %error),
            }
        }
        let mut schedule = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        schedule.locks.retain(|(_, lock)| lock.strong_count() > 0);
        if let Some(next) = schedule.locks.iter().map(|(at, _)| *at).min() {
            schedule.wake_at(process, next);
        }
    }
}

impl Schedule {
    /// Makes sure that the helper looks at `due`, or before.
    fn wake_at(&mut self, process: &Process, due: Instant) {
        if self.wakes.is_some_and(|wakes| wakes <= due) {
            return;
        }
        self.wakes = Some(due);
        let delay = due.saturating_duration_since(Instant::now());
        process.helper().execute_after(delay, || {
            let process = Process::current();
            process.leases.renew(&process);
        });
    }
}
