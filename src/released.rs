//! Locks that this process has let go of lately.
//!
//! A primary that fails takes along what its replica was not told: that a lock
//! was let go of, say. The new primary has that lock still, and nobody who
//! would let go of it, so that others wait until it ends by itself. Whoever let
//! go of it says so again, there: only its own token is removed.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::lock::Token;
use crate::topology::Place;

/// Most locks that are remembered. Older ones have long been replicated.
const MOST: usize = 512;

/// A lock that was let go of.
#[derive(Clone)]
pub struct Release {
    /// Where its session is.
    pub place: Place,
    /// Its value.
    pub token: Token,
    /// The server that was told last.
    pub server: String,
    /// When the lock has ended by itself, wherever it still is.
    pub ends: Instant,
}

/// The latest of them, in order.
#[derive(Default)]
pub struct Released(Mutex<VecDeque<Release>>);

impl Released {
    /// Remembers a lock that `server` was told of; it was granted for `lease`.
    pub fn remember(&self, place: Place, token: Token, server: String, lease: Duration) {
        let now = Instant::now();
        let mut all = self.all();
        while all.len() >= MOST || all.front().is_some_and(|oldest| oldest.ends <= now) {
            all.pop_front();
        }
        all.push_back(Release { place, token, server, ends: now + lease });
    }

    /// Takes those out that the server which `serves` their session now was
    /// not told of, the latest first.
    pub fn untold(&self, serves: impl Fn(&Place) -> String) -> Vec<Release> {
        let now = Instant::now();
        let all = std::mem::take(&mut *self.all());
        let living = all.into_iter().filter(|release| release.ends > now);
        let (untold, told): (Vec<_>, Vec<_>) =
            living.partition(|release| serves(&release.place) != release.server);
        let mut all = self.all();
        let since = std::mem::replace(&mut *all, told.into());
        all.extend(since);
        untold.into_iter().rev().collect()
    }

    /// Puts one back.
    pub fn put_back(&self, release: Release) {
        self.all().push_front(release);
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<Release>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
