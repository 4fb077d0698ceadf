//! Who is counted as waiting.

use std::thread;
use std::time::{Duration, Instant};

use super::MARGIN;
use crate::support::locking::scene::{SECOND, Scene, inside, joining, received};
use redis_session::error::Error;
use redis_session::lock::scripts::{AcquireReply, Existence, WaiterState};

#[test]
fn a_waiter_that_gives_up_late_does_not_uncount_one_that_came_after_it() {
    let scene = Scene::new();
    let holder = scene.hold();
    // Forgotten before it says that it leaves.
    let expires_after = Duration::from_millis(200);
    let joined = Instant::now();
    let ticket = scene.join(Existence::Any, WaiterState::Joining { expires_after, max_waiters: 0 });
    thread::sleep((expires_after + Duration::from_millis(20)).saturating_sub(joined.elapsed()));
    scene.join(Existence::Any, joining());
    let mut second = scene.block();
    for _repeat in 0..2 {
        scene.run(|s, keys| s.leave(keys, &ticket));
    }
    scene.release(&holder);
    assert!(received(&mut second).is_some(), "the lock is free, and the second sleeps");
}

#[test]
fn those_who_wait_are_forgotten_together_when_none_of_them_shows_itself() {
    let scene = Scene::new();
    let _holder = scene.hold();
    scene.join(Existence::Any, WaiterState::Joining { expires_after: 4 * SECOND, max_waiters: 0 });
    let left: i64 =
        redis::cmd("PTTL").arg(scene.keys().waiters).query(&mut scene.server.client()).unwrap();
    assert!((3001..=4000).contains(&left), "{left} ms");
}

#[test]
fn a_new_id_that_is_locked_already_does_not_uncount_a_waiter() {
    let scene = Scene::new();
    let _holder = scene.hold();
    scene.join(Existence::Any, joining());
    let (outcome, _) = scene.wait(Existence::Unused, SECOND);
    assert!(matches!(outcome, Err(Error::Busy { .. })), "{outcome:?}");
    assert_eq!(scene.counted(), Some(1));
}

#[test]
fn a_waiter_that_asks_again_for_a_session_that_was_destroyed_is_not_counted_any_more() {
    let scene = Scene::new();
    scene.store("x|i:1;");
    let holder = scene.hold();
    let ticket = scene.join(Existence::Known, joining());
    scene.run(|s, keys| s.destroy(keys, &holder));
    let (_, reply) = scene.acquire(Existence::Known, inside(&ticket));
    assert_eq!(reply, AcquireReply::ExistenceMismatch);
    assert_eq!(scene.counted(), None);
}

#[test]
fn one_that_is_told_to_wait_no_more_than_so_many_is_refused_at_once() {
    let scene = Scene::new();
    let _holder = scene.hold();
    let waiter = WaiterState::Joining { expires_after: 60 * SECOND, max_waiters: 2 };
    scene.join(Existence::Any, waiter);
    scene.join(Existence::Any, waiter);
    let (_, reply) = scene.acquire(Existence::Any, waiter);
    assert!(matches!(reply, AcquireReply::QueueFull(_)), "{reply:?}");
    assert_eq!(scene.counted(), Some(2));
}

#[test]
fn a_waiter_gives_up_when_its_patience_is_at_its_end_and_leaves_nothing() {
    let scene = Scene::new();
    let holder = scene.hold();
    let (outcome, took) = scene.wait(Existence::Any, SECOND / 2);
    assert!(matches!(outcome, Err(Error::Busy { .. })), "{outcome:?}");
    assert!(took >= SECOND / 2 && took < SECOND / 2 + MARGIN, "{took:?}");
    assert_eq!(scene.counted(), None);
    scene.release(&holder);
    assert!(scene.server.keys().is_empty());
}
