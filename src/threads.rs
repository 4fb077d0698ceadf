//! Starting threads that PHP does not notice.

use nix::sys::signal::{SigSet, SigmaskHow};

/// Runs `start`. Threads that it starts serve no signals, as PHP's handlers
/// expect to run in PHP's threads.
pub fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let started = start();
    if let Ok(mask) = before {
        // Setting back what was set before cannot fail.
        let _ = mask.thread_set_mask();
    }
    started
}
