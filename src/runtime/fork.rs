//! Lets a process fork while it has a helper thread.
//!
//! The child has no such thread, but all memory as it was: also what that
//! thread had written down about itself while it waited for work, which the
//! threads that the child starts would follow to a stack that is gone. So
//! before a fork the helper is called away from there, and released after it.
//! Other threads of ours that are at work then are waited for as well.

use std::cell::RefCell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use scheduled_thread_pool::ScheduledThreadPool;

/// Longest wait for a thread that is at work: it waits for a server then, and
/// not for another thread.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

struct Gate {
    /// The helper is to stay here.
    closed: bool,
    /// It is here.
    arrived: bool,
    /// How many others are at work.
    at_work: u32,
    /// The process that forks.
    pid: u32,
}

// The standard library's: they keep no record outside of themselves.
static GATE: Mutex<Gate> = Mutex::new(Gate { closed: false, arrived: false, at_work: 0, pid: 0 });
static CHANGED: Condvar = Condvar::new();

thread_local! {
    /// Held from before a fork until after it, by the thread that forks.
    static HELD: RefCell<Option<MutexGuard<'static, Gate>>> = const { RefCell::new(None) };
}

/// Calls the `helper` of this process to where a child finds no record of it, and
/// waits up to 100 ms for other threads at work. Just before a fork; without a
/// helper there is no other thread either.
pub fn prepare(helper: Option<&ScheduledThreadPool>) {
    let Some(helper) = helper else { return };
    let mut gate = lock();
    gate.closed = true;
    gate.arrived = false;
    gate.pid = std::process::id();
    helper.execute(stay);
    let deadline = Instant::now() + LONGEST_WAIT;
    while !gate.arrived || gate.at_work > 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        gate = CHANGED.wait_timeout(gate, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    HELD.with_borrow_mut(|held| *held = Some(gate));
}

/// Lets the helper go, where there is one; in the parent and in the child.
pub fn conclude() {
    if let Some(mut gate) = HELD.with_borrow_mut(Option::take) {
        gate.closed = false;
        gate.arrived = false;
        if gate.pid != std::process::id() {
            gate.at_work = 0; // in the parent
        }
        drop(gate);
        CHANGED.notify_all();
    }
}

/// Does some `work` of a thread of ours, for which a fork waits.
pub fn kept_waiting<T>(work: impl FnOnce() -> T) -> T {
    let mut gate = lock();
    while gate.closed {
        gate = CHANGED.wait(gate).unwrap_or_else(PoisonError::into_inner);
    }
    gate.at_work += 1;
    drop(gate);
    let result = work();
    let mut gate = lock();
    gate.at_work = gate.at_work.saturating_sub(1);
    drop(gate);
    CHANGED.notify_all();
    result
}

/// What the helper does meanwhile.
fn stay() {
    let mut gate = lock();
    while gate.closed {
        gate.arrived = true;
        CHANGED.notify_all();
        gate = CHANGED.wait(gate).unwrap_or_else(PoisonError::into_inner);
    }
}

fn lock() -> MutexGuard<'static, Gate> {
    GATE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::runtime::threads::worker;

    #[test]
    fn the_helper_does_nothing_else_while_a_fork_is_under_way() {
        let helper = worker("redis-session").unwrap();
        for _ in 0..100 {
            prepare(Some(&helper));
            let arrived = HELD.with_borrow(|held| held.as_ref().is_some_and(|gate| gate.arrived));
            assert!(arrived, "it waits where a child cannot find it");
            let (tell, told) = mpsc::channel();
            helper.execute(move || tell.send(()).unwrap());
            assert!(told.recv_timeout(Duration::from_millis(1)).is_err());
            conclude();
            told.recv_timeout(Duration::from_secs(10)).unwrap();
        }
    }
}
