//! The end of everything that a thread waits for, where there is one.
//!
//! One piece of work may take several steps: finding the server, room for a
//! connection, name lookup, connecting, login, and the answer. Each step has
//! a limit of its own; this is the limit of their sum. It belongs to the
//! thread, so that no step between can forget to pass it on.

use std::cell::Cell;
use std::time::{Duration, Instant};

thread_local! {
    static ENDS: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Runs `work`, in which no wait lasts beyond `limit` from now.
pub fn within<T>(limit: Duration, work: impl FnOnce() -> T) -> T {
    let ends = Instant::now() + limit;
    let before = ENDS.get();
    ENDS.set(Some(before.map_or(ends, |before| before.min(ends))));
    let result = work();
    ENDS.set(before);
    result
}

/// How long a wait that has a `limit` of its own may last.
pub fn left(limit: Duration) -> Duration {
    match ENDS.get() {
        None => limit,
        Some(ends) => limit.min(ends.saturating_duration_since(Instant::now())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_wait_ends_with_its_own_limit_or_with_the_work_it_is_part_of() {
        assert_eq!(left(MINUTE), MINUTE, "no deadline is set");
        within(MINUTE / 2, || {
            assert!(left(MINUTE) <= MINUTE / 2);
            assert_eq!(left(MINUTE / 4), MINUTE / 4);
            within(MINUTE, || assert!(left(MINUTE) <= MINUTE / 2, "work within work"));
            within(Duration::ZERO, || assert_eq!(left(MINUTE), Duration::ZERO));
            assert!(left(MINUTE) > Duration::ZERO);
        });
        assert_eq!(left(MINUTE), MINUTE);
    }
}
