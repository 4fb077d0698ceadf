//! Servers that are silent or old, and locks that another client holds.

use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use super::{LOOKS_AGAIN, MARGIN};
use crate::support::locking::scene::{LEASE, SECOND, Scene, backend, joining, policy, wait_at};
use crate::support::process::wait_until;
use crate::support::proxy::{Direction, Fault, RecordingProxy};
use redis_session::error::Error;
use redis_session::lock::acquire::Acquired;
use redis_session::lock::scripts::{AcquireReply, Existence};

#[test]
fn a_wait_ends_when_the_server_has_gone_silent() {
    let scene = Scene::new();
    let proxy = RecordingProxy::start(scene.server.addr());
    let _holder = scene.hold();
    for lock_wait in [3 * SECOND, 60 * SECOND] {
        proxy.clear_fault();
        let silent = backend(&format!("{}?timeout=1&read_timeout=1", proxy.addr()));
        let mut acquisition = scene.acquisition(Existence::Any);
        let begun = Instant::now();
        assert!(matches!(acquisition.step(&silent, &policy(lock_wait)), Ok(Poll::Pending)));
        proxy.set_fault(Fault::Stall);
        let (outcome, _) = wait_at(&silent, &mut acquisition, lock_wait);
        assert!(matches!(outcome, Err(Error::Exchange { .. })), "{outcome:?}");
        let took = begun.elapsed();
        let limit = LOOKS_AGAIN.min(lock_wait) + SECOND;
        assert!(took >= limit - SECOND / 10 && took < limit + MARGIN, "{took:?}");
    }
}

#[test]
fn a_lock_that_nobody_hands_over_is_looked_at_again_after_each_wait_time() {
    let scene = Scene::new();
    let keys = scene.keys();
    let mut client = scene.server.client();
    let mut delays = Vec::new();
    for _ in 0..9 {
        let lock = [keys.lock.as_slice(), b"another-host|1"];
        redis::cmd("SET").arg(&lock).arg("PX").arg(60_000).exec(&mut client).unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let (outcome, _) = scene.wait(Existence::Any, 10 * SECOND);
                (outcome, Instant::now())
            });
            wait_until("it waits", || scene.counted() == Some(1));
            redis::cmd("DEL").arg(&keys.lock).exec(&mut client).unwrap();
            let released = Instant::now();
            let (outcome, noticed) = waiter.join().unwrap();
            assert!(matches!(outcome, Ok(Acquired::Session(_))), "{outcome:?}");
            delays.push(noticed.saturating_duration_since(released));
        });
        redis::cmd("DEL").arg(&keys.lock).exec(&mut client).unwrap();
    }
    delays.sort_unstable();
    println!("noticed after {delays:?}");
    assert!(delays.get(4).unwrap() < &Duration::from_millis(100), "{delays:?}");
    assert_eq!(scene.counted(), None);
}

#[test]
fn while_another_client_holds_the_lock_a_waiter_asks_once_in_each_wait_time() {
    let scene = Scene::new();
    let proxy = RecordingProxy::start(scene.server.addr());
    let lock = scene.keys().lock;
    let set = redis::cmd("SET").arg(&lock).arg("another-host|1").arg("PX").arg(60_000).clone();
    set.exec(&mut scene.server.client()).unwrap();
    let backend = backend(&proxy.addr());
    // Connected, and the server knows the script.
    let (outcome, _) = wait_at(&backend, &mut scene.acquisition(Existence::Any), SECOND / 10);
    assert!(matches!(outcome, Err(Error::Busy { .. })), "{outcome:?}");
    proxy.reset();
    let (outcome, took) = wait_at(&backend, &mut scene.acquisition(Existence::Any), SECOND);
    assert!(matches!(outcome, Err(Error::Busy { .. })), "{outcome:?}");
    let names = proxy.command_names();
    assert!(!names.iter().any(|name| name == "BLPOP"), "nobody will hand it over");
    let asked = proxy.round_trips() - 1; // and said that it leaves
    let most = usize::try_from(took.as_millis()).unwrap() / 20 + 1;
    assert!((2..=most).contains(&asked), "{asked} times in {took:?}");
}

#[test]
fn a_lock_asked_for_twice_with_one_token_is_given_twice() {
    let scene = Scene::new();
    let token = scene.hold();
    let again =
        scene.run(|s, keys| s.acquire(keys, &token, LEASE, None, Existence::Any, joining()));
    assert!(
        matches!(again, AcquireReply::Acquired(_)),
        "the answer to the first may have been lost"
    );
    assert_eq!(scene.counted(), None);
}

#[test]
fn a_server_that_knows_whole_seconds_only_is_asked_to_wait_for_them() {
    let scene = Scene::new();
    let proxy = RecordingProxy::start(scene.server.addr());
    let far = backend(&proxy.addr());
    let holder = scene.hold();
    let mut acquisition = scene.acquisition(Existence::Any);
    let lock_wait = 3 * SECOND + SECOND / 2;
    assert!(matches!(acquisition.step(&far, &policy(lock_wait)), Ok(Poll::Pending)));
    let refusal = b"-ERR timeout is not an integer or out of range\r\n".to_vec();
    proxy.set_fault_once(Fault::GarbageReply(refusal));
    let push = redis::cmd("RPUSH").arg(scene.keys().baton).arg("no baton").clone();
    push.exec(&mut scene.server.client()).unwrap();
    proxy.reset();
    // It ends with lock_wait all the same.
    let (outcome, took) = wait_at(&far, &mut acquisition, lock_wait);
    assert!(matches!(outcome, Err(Error::Busy { .. })), "{outcome:?}");
    assert!(took < lock_wait, "{took:?}");
    let sent: Vec<u8> = proxy
        .traffic()
        .into_iter()
        .flatten()
        .filter(|(direction, _)| *direction == Direction::ToServer)
        .flat_map(|(_, bytes)| bytes)
        .collect();
    let sent = String::from_utf8_lossy(&sent).into_owned();
    let (_, wait) = sent.split_once("BLPOP").unwrap();
    let seconds = wait.split("\r\n").nth(4).unwrap();
    assert_eq!(seconds, "3", "more than 2.5 s are left, and less than 3");
    scene.release(&holder);
}
