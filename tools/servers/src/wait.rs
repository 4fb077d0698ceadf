//! Waiting for conditions, never without a bound.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long several servers may take to agree on something.
pub const AGREEMENT: Duration = Duration::from_secs(60);

/// Set once the servers are no longer wanted.
static GIVEN_UP: AtomicBool = AtomicBool::new(false);

/// Asks `ready` again and again until it says yes; false once `limit` has passed.
pub fn poll(limit: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if ready() {
            return true;
        }
        if Instant::now() >= deadline || given_up() {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Makes every wait of this process end soon and in vain.
pub fn give_up() {
    GIVEN_UP.store(true, Ordering::Relaxed);
}

/// Whether [`give_up`] was called.
pub fn given_up() -> bool {
    GIVEN_UP.load(Ordering::Relaxed)
}
