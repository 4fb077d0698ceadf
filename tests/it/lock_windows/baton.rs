//! The baton on its way from one holder to the next.

use std::task::Poll;
use std::thread;
use std::time::Instant;

use super::{LOOKS_AGAIN, MARGIN};
use crate::support::locking::scene::{
    LEASE, SECOND, Scene, backend, inside, joining, policy, received, wait_at,
};
use crate::support::process::{poll, wait_until};
use crate::support::proxy::{Fault, RecordingProxy};
use redis_session::lock::acquire::Acquired;
use redis_session::lock::scripts::{AcquireReply, CLAIM_WINDOW, Existence, ReceivedBaton};
use redis_session::lock::token::Token;

#[test]
fn a_waiter_that_dies_with_the_baton_delays_the_next_until_that_looks_again() {
    let scene = Scene::new();
    let holder = scene.hold();
    scene.join(Existence::Any, joining());
    let mut first = scene.block();
    thread::scope(|scope| {
        let second = scope.spawn(|| scene.wait(Existence::Any, 20 * SECOND));
        wait_until("both are blocked", || scene.blocked() == 2);
        scene.release(&holder);
        let handed = Instant::now();
        assert!(received(&mut first).is_some());
        drop(first);
        let (outcome, _) = second.join().unwrap();
        assert!(matches!(outcome, Ok(Acquired::Session(_))), "{outcome:?}");
        let took = handed.elapsed();
        assert!(took < LOOKS_AGAIN + MARGIN, "the next one slept for {took:?}");
    });
}

#[test]
fn a_newcomer_wakes_the_waiters_beside_a_baton_that_nobody_claims() {
    let scene = Scene::new();
    let holder = scene.hold();
    let one = scene.join(Existence::Any, joining());
    let mut first = scene.block();
    let two = scene.join(Existence::Any, joining());
    let mut second = scene.block();
    scene.release(&holder);
    let baton = received(&mut first).unwrap();
    let lives = |ms: u32| {
        let mut command = redis::cmd("PEXPIRE");
        command.arg(scene.keys().lock).arg(ms).exec(&mut scene.server.client()).unwrap();
    };
    lives(60_000);
    scene.join(Existence::Any, joining());
    assert_eq!(scene.blocked(), 1, "the first may yet claim it");
    lives(240); // it has had half of its time
    scene.join(Existence::Any, joining());
    lives(60_000);
    assert_eq!(received(&mut second).unwrap(), baton, "the same: whoever is first has it");
    let replies = [&one, &two].map(|ticket| {
        let (token, waiter) = (Token::new("").unwrap(), inside(ticket));
        scene.run(|s, keys| {
            s.claim(
                keys,
                &token,
                LEASE,
                None,
                Existence::Any,
                ReceivedBaton { waiter, baton: &baton },
            )
        })
    });
    assert!(
        matches!(replies, [AcquireReply::Acquired(None), AcquireReply::Busy { .. }]),
        "{replies:?}"
    );
    assert_eq!(scene.counted(), Some(3), "the one that has it is a waiter no more");
}

#[test]
fn a_waiter_that_gives_up_with_the_baton_offers_it_to_the_next_at_once() {
    let scene = Scene::new();
    let holder = scene.hold();
    let mut first = scene.acquisition(Existence::Any);
    let step = first.step(&scene.backend, &policy(10 * SECOND));
    assert!(matches!(step, Ok(Poll::Pending)));
    thread::scope(|scope| {
        let second = scope.spawn(|| scene.wait(Existence::Any, 20 * SECOND));
        wait_until("both are blocked", || scene.blocked() == 2);
        scene.release(&holder);
        wait_until("the first has the baton", || scene.blocked() == 1);
        let left = Instant::now();
        first.leave(&scene.backend);
        let (outcome, _) = second.join().unwrap();
        assert!(matches!(outcome, Ok(Acquired::Session(_))), "{outcome:?}");
        let took = left.elapsed();
        assert!(took < CLAIM_WINDOW + MARGIN, "the next one slept for {took:?}");
    });
    assert_eq!(scene.counted(), None);
}

#[test]
fn a_baton_is_offered_to_no_one_where_no_one_waits() {
    let scene = Scene::new();
    let holder = scene.hold();
    let ticket = scene.join(Existence::Any, joining());
    let mut only = scene.block();
    scene.release(&holder);
    assert!(received(&mut only).is_some());
    scene.run(|s, keys| s.leave(keys, &ticket));
    assert_eq!(scene.server.keys(), [String::from_utf8(scene.keys().lock).unwrap()]);
    assert!(poll(CLAIM_WINDOW + MARGIN, || scene.server.keys().is_empty()));
}

#[test]
fn a_claim_whose_answer_is_cut_at_any_byte_finds_its_own_lock() {
    let scene = Scene::new();
    let proxy = RecordingProxy::start(scene.server.addr());
    let far = backend(&proxy.addr());
    let keys = scene.keys();
    // The answers to BLPOP, and to the claim with an empty session in it.
    let claimed = b"*1\r\n:1\r\n$-1\r\n".len();
    for cut in 0..=claimed {
        let holder = scene.hold();
        let baton = holder.as_bytes().len() + b":baton".len();
        let lines = format!("*2\r\n${}\r\n\r\n${baton}\r\n\r\n", keys.baton.len());
        let popped = lines.len() + keys.baton.len() + baton;
        let mut acquisition = scene.acquisition(Existence::Any);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let (outcome, took) = wait_at(&far, &mut acquisition, 10 * SECOND);
                (outcome, took, acquisition.into_request().token)
            });
            wait_until("it is blocked", || scene.blocked() == 1);
            proxy.set_fault_once(Fault::CutAfterReplyBytes(popped + cut));
            scene.release(&holder);
            let (outcome, took, token) = waiter.join().unwrap();
            assert!(matches!(outcome, Ok(Acquired::Session(None))), "cut after {cut}: {outcome:?}");
            assert!(took < 5 * SECOND, "cut after {cut}: {took:?}");
            proxy.clear_fault();
            scene.release(&token);
        });
        assert!(scene.server.keys().is_empty(), "cut after {cut}");
    }
}

#[test]
fn a_waiter_that_claims_too_late_stays_in_the_queue_and_is_served_in_turn() {
    let scene = Scene::new();
    let holder = scene.hold();
    let ticket = scene.join(Existence::Any, joining());
    let mut wait = scene.block();
    scene.release(&holder);
    let baton = received(&mut wait).unwrap();
    let lock = String::from_utf8(scene.keys().lock).unwrap();
    wait_until("the window has passed", || !scene.server.keys().contains(&lock));
    // Newcomers queue up behind it; one whose record was lost may have it.
    let next = Token::new("").unwrap();
    let set = redis::cmd("SET").arg(&lock).arg(next.as_bytes()).arg("PX").arg(60_000).clone();
    set.exec(&mut scene.server.client()).unwrap();
    let token = Token::new("").unwrap();
    let reply = scene.run(|s, keys| {
        s.claim(
            keys,
            &token,
            LEASE,
            None,
            Existence::Any,
            ReceivedBaton { waiter: inside(&ticket), baton: &baton },
        )
    });
    assert!(matches!(reply, AcquireReply::Busy { .. }), "{reply:?}");
    assert_eq!(scene.counted(), Some(1));
    let mut wait = scene.block();
    scene.release(&next);
    assert!(received(&mut wait).is_some());
}
