//! When connections are too old, so that they are not looked through in vain.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// When the first connection of the process is too old, in ms since
/// [`BEGINNING`]; 0 is never.
#[derive(Default)]
pub(super) struct FirstExpiry(AtomicU64);

static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

impl FirstExpiry {
    /// Lets the connections be looked through at `time`, or before.
    pub(super) fn at_latest(&self, time: Instant) {
        let time = millis(time);
        let sooner = |known| (known == 0 || time < known).then_some(time);
        // It fails where there is nothing to change.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sooner);
    }

    /// Whether that time is over; then none is known any more.
    pub(super) fn take_if_over(&self) -> bool {
        let expiry = self.0.load(Ordering::Relaxed);
        let is_over = expiry != 0 && expiry <= millis(Instant::now());
        if is_over {
            self.0.store(0, Ordering::Relaxed);
        }
        is_over
    }
}

fn millis(time: Instant) -> u64 {
    let since = time.saturating_duration_since(*BEGINNING).as_millis();
    u64::try_from(since).unwrap_or(u64::MAX).max(1)
}
