//! Starting threads that PHP does not notice.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use nix::sys::signal::{SigSet, SigmaskHow};
use scheduled_thread_pool::ScheduledThreadPool;

/// Runs `start`. Threads that it starts serve no signals, as PHP's handlers
/// expect to run in PHP's threads. However it ends, this thread serves the
/// signals that it served before.
pub fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    let _restored = Restored(SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK).ok());
    start()
}

struct Restored(Option<SigSet>);

impl Drop for Restored {
    fn drop(&mut self) {
        if let Some(mask) = self.0 {
            // Setting back what was set before cannot fail.
            let _ = mask.thread_set_mask();
        }
    }
}

/// A thread that works off what it is given, at its time. None if the system
/// starts no more threads: the pool's own answer to that is a panic.
pub fn worker(name: &str) -> Option<Arc<ScheduledThreadPool>> {
    let builder = ScheduledThreadPool::builder().num_threads(1).thread_name_pattern(name);
    let start = || without_signals(|| builder.build());
    catch_unwind(AssertUnwindSafe(start)).ok().map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_fails_leaves_no_signal_blocked() {
        let before = SigSet::thread_get_mask().unwrap();
        let failed = catch_unwind(|| without_signals(|| panic!("the system starts no thread")));
        assert!(failed.is_err());
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }
}
