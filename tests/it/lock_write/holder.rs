//! Who may write, and renew the lock.

use std::task::Poll;

use super::{SMALL, STAGED, ask, data, expire, left_over, name, write};
use crate::support::locking::scene::{LEASE, SECOND, SID, Scene, handler, id, storing, ttl};
use redis_session::error::Error;
use redis_session::lock::scripts::{LockedOutcome, WriteOptions};
use redis_session::session::handler::WriteCause;

#[test]
fn only_the_holder_writes_and_nothing_is_left_of_the_attempt_of_another() {
    for size in SMALL.into_iter().chain(STAGED) {
        let scene = Scene::new();
        let token = scene.hold();
        assert_eq!(write(&scene, &token, false, &data(size)), LockedOutcome::Done);
        assert_eq!(scene.stored().unwrap(), data(size), "{size}");
        let lives: i64 = ask(&scene, &[b"TTL", &scene.keys().session]);
        assert!((1430..=1440).contains(&lives), "{size}: {lives} s");
        assert_eq!(scene.server.keys(), [name(scene.keys().session)], "{size}");

        let late = scene.hold();
        expire(&scene);
        assert_eq!(write(&scene, &late, false, b"late"), LockedOutcome::Lost);
        assert_eq!(write(&scene, &late, false, &data(size + 5000)), LockedOutcome::Lost);
        let next = scene.hold();
        assert_eq!(write(&scene, &late, true, &data(size + 5000)), LockedOutcome::Lost);
        assert_eq!(scene.stored().unwrap(), data(size), "{size}");
        assert_eq!(left_over(&scene), [""; 0], "{size}");
        scene.release(&next);
    }
}

#[test]
fn a_write_repeated_after_its_answer_was_lost_is_done_once_and_told_so() {
    for size in SMALL.into_iter().chain(STAGED) {
        let scene = Scene::new();
        let token = scene.hold();
        let data = data(size);
        assert_eq!(write(&scene, &token, false, &data), LockedOutcome::Done);
        assert_eq!(write(&scene, &token, true, &data), LockedOutcome::Done, "{size}");
        assert_eq!(write(&scene, &token, false, &data), LockedOutcome::Lost, "{size}");
        scene.store("another's");
        assert_eq!(
            write(&scene, &token, true, &data),
            LockedOutcome::Lost,
            "another has written since"
        );
        let _: i64 = ask(&scene, &[b"DEL", &scene.keys().session]);
        assert_eq!(
            write(&scene, &token, true, &data),
            LockedOutcome::Lost,
            "another has removed it since"
        );
        assert_eq!(scene.server.keys(), [""; 0], "{size}");
    }
}

#[test]
fn a_lock_that_is_kept_can_be_written_with_again() {
    let scene = Scene::new();
    let token = scene.hold();
    for size in STAGED.into_iter().chain(SMALL).chain(STAGED) {
        let kept = scene.run(|s, keys| s.write(keys, &token, storing(true), &data(size)));
        assert_eq!(kept, LockedOutcome::Done);
        assert_eq!(scene.stored().unwrap(), data(size));
        assert_eq!(left_over(&scene), [""; 0]);
    }
    scene.release(&token);
}

#[test]
fn a_lock_is_renewed_only_while_it_is_held() {
    let scene = Scene::new();
    let token = scene.hold();
    let renew = || scene.run(|s, keys| s.renew(keys, &token, Some(2 * LEASE), ttl()));
    let left = || -> i64 { ask(&scene, &[b"PTTL", &scene.keys().lock]) };
    assert!(left() <= 60_000);
    assert_eq!(renew(), LockedOutcome::Done);
    assert!(left() > 60_000);
    scene.release(&token);
    assert_eq!(renew(), LockedOutcome::Lost);
    assert!(scene.server.keys().is_empty());
}

#[test]
fn a_renewal_keeps_the_session_alive_where_little_is_left_of_its_time_and_makes_none() {
    let scene = Scene::new();
    let token = scene.hold();
    let lives = || -> i64 { ask(&scene, &[b"TTL", &scene.keys().session]) };
    let seconds = ttl().seconds();
    let renew = |lease| scene.run(|s, keys| s.renew(keys, &token, lease, ttl()));
    assert_eq!(renew(Some(LEASE)), LockedOutcome::Done);
    assert_eq!(lives(), -2, "a session that was not there is not made");
    scene.store("x|i:1;");
    let _: () = ask(&scene, &[b"PERSIST", &scene.keys().session]);
    assert_eq!((renew(None), lives()), (LockedOutcome::Done, -1), "one without an end gets none");
    for (left, then) in [(seconds - 2, seconds - 2), (seconds / 2 - 1, seconds), (1, seconds)] {
        let _: () = ask(&scene, &[b"EXPIRE", &scene.keys().session, left.to_string().as_bytes()]);
        assert_eq!(renew(None), LockedOutcome::Done);
        assert!((then - 1..=then).contains(&lives()), "{left} s were left, {} s are", lives());
    }
    expire(&scene);
    let _: () = ask(&scene, &[b"EXPIRE", &scene.keys().session, b"5"]);
    assert_eq!(renew(Some(LEASE)), LockedOutcome::Lost);
    assert!(lives() <= 5, "the session is the next holder's");
}

#[test]
fn a_session_that_is_gone_is_not_written_and_its_lock_is_released_also_when_the_write_is_repeated()
{
    for size in SMALL.into_iter().chain(STAGED) {
        let scene = Scene::new();
        scene.store("x|i:1;");
        let token = scene.hold();
        let _: () = ask(&scene, &[b"DEL", &scene.keys().session]);
        for repeat in [false, true] {
            let storing = WriteOptions { is_repeat: repeat, must_exist: true, ..storing(false) };
            let kept = scene.run(|s, keys| s.write(keys, &token, storing, &data(size)));
            assert_eq!(kept, LockedOutcome::Gone, "{size} {repeat}");
            assert!(scene.server.keys().is_empty(), "{:?}", scene.server.keys());
        }
        let token = scene.hold();
        let touched = scene.run(|s, keys| s.touch(keys, &token, Some(ttl()), false));
        assert_eq!(touched, LockedOutcome::Gone);
        assert!(scene.server.keys().is_empty(), "{:?}", scene.server.keys());
    }
}

#[test]
fn a_write_that_was_done_and_not_answered_is_done_when_it_is_repeated() {
    for size in SMALL.into_iter().chain(STAGED) {
        let scene = Scene::new();
        scene.store("x|i:1;");
        let token = scene.hold();
        for repeat in [false, true] {
            let storing = WriteOptions { is_repeat: repeat, must_exist: true, ..storing(false) };
            let kept = scene.run(|s, keys| s.write(keys, &token, storing, &data(size)));
            assert_eq!(kept, LockedOutcome::Done, "{size} {repeat}");
        }
        assert_eq!(scene.stored().unwrap(), data(size));
        assert_eq!(scene.server.keys(), [name(scene.keys().session)]);
    }
}

#[test]
fn a_session_that_php_has_not_got_is_not_written_over() {
    let scene = Scene::new();
    scene.store("n|i:1;");
    let mut handler = handler(&scene.server.addr(), SECOND);
    let read = handler.read(id(SID), ttl());
    assert!(matches!(read, Ok(Poll::Ready(()))), "{read:?}");
    // A fatal error ends the request here, and PHP writes what it has.
    let written = handler.write(id(SID), b"", ttl(), WriteCause::Page);
    assert!(matches!(written, Err(Error::NotRead)), "{written:?}");
    handler.close().unwrap();
    assert_eq!(scene.stored().unwrap(), b"n|i:1;");
    assert_eq!(scene.server.keys(), [name(scene.keys().session)], "the lock is released");
}
