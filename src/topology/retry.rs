//! Trying again where a session is now, until the failover budget is spent.

use std::time::{Duration, Instant};

use crate::client::endpoint::AttemptError;
use crate::error::{answered_code, ends_connection};
use crate::runtime::deadline::left;

/// First and longest pause between two attempts; a failover is noticed no
/// later than the longest one after it happened.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Whether `trouble` may mean that the session is served elsewhere now, or
/// will be soon.
pub fn has_moved(trouble: &AttemptError) -> bool {
    match trouble {
        AttemptError::Connect(_) => true,
        AttemptError::Exchange(error) => {
            ends_connection(error)
                || is_wrong_server(trouble)
                || is_unsettled(trouble)
                || matches!(answered_code(error), Some("UNBLOCKED" | "MOVED" | "ASK"))
        }
    }
}

/// Whether a server has answered that it is none to be used: it was demoted,
/// say, and goes on serving those who are connected. The name that led to it
/// may lead to its successor by now.
pub(super) fn is_wrong_server(trouble: &AttemptError) -> bool {
    let AttemptError::Exchange(error) = trouble else { return false };
    matches!(answered_code(error), Some("READONLY" | "LOADING" | "MASTERDOWN" | "NOREPLICAS"))
}

/// Whether the right server, or a proxy before a cluster, has answered that
/// things change right now.
pub(super) fn is_unsettled(trouble: &AttemptError) -> bool {
    let AttemptError::Exchange(error) = trouble else { return false };
    matches!(answered_code(error), Some("CLUSTERDOWN" | "TRYAGAIN"))
}

/// How long a failover may still take. It starts with the first failure.
pub(super) struct Budget {
    patience: Duration,
    ends: Option<Instant>,
    least: Duration,
    pause: Duration,
    hurries: u32,
}

impl Budget {
    /// Most attempts without a pause: a redirection, and one that changed
    /// meanwhile. Servers that redirect in a circle must not be hammered.
    const MAX_HURRIES: u32 = 3;

    pub(super) fn new(patience: Duration, least: Duration) -> Self {
        Self { patience, ends: None, least, pause: FIRST_PAUSE, hurries: 0 }
    }

    /// Whether to try again at once.
    pub(super) fn hurry(&mut self) -> bool {
        self.hurries += 1;
        self.hurries <= Self::MAX_HURRIES
    }

    /// Waits before the next attempt. Returns false when it is too late.
    pub(super) fn pause(&mut self) -> bool {
        let now = Instant::now();
        let ends = *self.ends.get_or_insert(now + left(self.patience));
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
