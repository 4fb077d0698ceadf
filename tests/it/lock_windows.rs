//! The windows between the steps to a lock, one by one: whoever dies, gives up
//! or finds the session gone there leaves nobody asleep beside a free lock.
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::locking::scene::{
    LEASE, SECOND, SID, Scene, backend, handler, id, inside, joining, policy, received, ttl,
    wait_at,
};
use crate::support::process::{poll, wait_until};
use crate::support::proxy::{Direction, Fault, RecordingProxy};
use redis_session::error::Error;
use redis_session::key::Keys;
use redis_session::lock::acquire::Acquired;
use redis_session::lock::scripts::{
    AcquireReply, CLAIM_WINDOW, Existence, ReceivedBaton, Scripts, Ticket, WaiterState,
};
use redis_session::lock::token::Token;

/// After how long at most a waiter asks how things are.
const LOOKS_AGAIN: Duration = Duration::from_secs(5);
/// For what takes no time: only so long that a busy machine can do it.
const MARGIN: Duration = Duration::from_secs(2);

// ----------------------------------------------------- a baton on its way

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
    let turns = [&one, &two].map(|ticket| {
        let (token, standing) = (Token::new("").unwrap(), inside(ticket));
        scene.run(|s, keys| {
            s.claim(
                keys,
                &token,
                LEASE,
                None,
                Existence::Any,
                ReceivedBaton { waiter: standing, baton: &baton },
            )
        })
    });
    assert!(
        matches!(turns, [AcquireReply::Acquired(None), AcquireReply::Busy { .. }]),
        "{turns:?}"
    );
    assert_eq!(scene.counted(), Some(3), "the one that has it is a waiter no more");
}

#[test]
fn a_waiter_that_gives_up_with_the_baton_offers_it_to_the_next_at_once() {
    let scene = Scene::new();
    let holder = scene.hold();
    let mut first = scene.queue(Existence::Any);
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
fn a_baton_is_offered_to_nobody_where_nobody_waits() {
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

// -------------------------------------------------------- who is counted

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
    let (_, turn) = scene.acquire(Existence::Known, inside(&ticket));
    assert_eq!(turn, AcquireReply::ExistenceMismatch);
    assert_eq!(scene.counted(), None);
}

#[test]
fn one_that_is_told_to_wait_no_more_than_so_many_is_refused_at_once() {
    let scene = Scene::new();
    let _holder = scene.hold();
    let standing = WaiterState::Joining { expires_after: 60 * SECOND, max_waiters: 2 };
    scene.join(Existence::Any, standing);
    scene.join(Existence::Any, standing);
    let (_, turn) = scene.acquire(Existence::Any, standing);
    assert!(matches!(turn, AcquireReply::QueueFull(_)), "{turn:?}");
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

// --------------------------------------- a session destroyed during the wait

#[test]
fn a_session_destroyed_during_the_wait_for_it_is_not_known_any_more() {
    let scene = Scene::new();
    scene.store("x|i:1;");
    let holder = scene.hold();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| scene.wait(Existence::Known, 10 * SECOND));
        wait_until("it is blocked", || scene.blocked() == 1);
        scene.run(|s, keys| s.destroy(keys, &holder));
        let (outcome, _) = waiter.join().unwrap();
        assert!(matches!(outcome, Ok(Acquired::ExistenceMismatch)), "{outcome:?}");
    });
    assert_eq!(scene.server.keys(), [""; 0]);
}

/// Two who want the session known wait for it, and then one who takes any. The
/// two are given the baton in turn, and find the session destroyed.
fn finds_it_destroyed(
    scene: &Scene,
    shows: impl Fn(&mut Scripts<'_>, &Keys, &Ticket, &[u8]) -> AcquireReply,
) {
    scene.store("x|i:1;");
    let holder = scene.hold();
    let mut waits: Vec<_> = [Existence::Known, Existence::Known, Existence::Any]
        .map(|wanted| {
            let ticket = scene.join(wanted, joining());
            (ticket, scene.block())
        })
        .into();
    scene.run(|s, keys| s.destroy(keys, &holder));
    for (waiting, wait) in [(2, 0), (1, 1)] {
        let (ticket, wait) = waits.get_mut(wait).unwrap();
        let baton = received(wait).unwrap();
        let turn = scene.run(|s, keys| Ok(shows(s, keys, ticket, &baton)));
        assert_eq!(turn, AcquireReply::ExistenceMismatch);
        assert_eq!(scene.counted(), Some(waiting), "the others wait still");
    }
    let (ticket, wait) = waits.last_mut().unwrap();
    let baton = received(wait).unwrap();
    let token = Token::new("").unwrap();
    let turn = scene.run(|s, keys| {
        s.claim(
            keys,
            &token,
            LEASE,
            None,
            Existence::Any,
            ReceivedBaton { waiter: inside(ticket), baton: &baton },
        )
    });
    assert_eq!(turn, AcquireReply::Acquired(None));
    assert_eq!(scene.counted(), None);
}

#[test]
fn a_writer_that_finds_the_session_destroyed_passes_the_baton_on() {
    let token = Token::new("").unwrap();
    finds_it_destroyed(&Scene::new(), |s, keys, ticket, baton| {
        s.claim(
            keys,
            &token,
            LEASE,
            None,
            Existence::Known,
            ReceivedBaton { waiter: inside(ticket), baton },
        )
        .unwrap()
    });
}

#[test]
fn a_reader_that_finds_the_session_destroyed_passes_the_baton_on() {
    let token = Token::new("").unwrap();
    finds_it_destroyed(&Scene::new(), |s, keys, ticket, baton| {
        s.peek(keys, &token, None, Existence::Known, inside(ticket), baton).unwrap()
    });
}

#[test]
fn an_interrupted_wait_for_a_known_session_keeps_its_id_and_makes_no_session() {
    let scene = Scene::new();
    scene.store("x|i:1;");
    let holder = scene.hold();
    let mut handler = handler(&scene.server.addr(), 10 * SECOND);
    let known = handler.validate(id(SID));
    assert!(matches!(known, Ok(Poll::Pending)), "{known:?}");
    assert_eq!(scene.counted(), Some(1));
    assert!(handler.interrupt_validation().unwrap(), "PHP would make another id");
    assert_eq!(scene.counted(), None);
    let read = handler.read(id(SID), ttl());
    assert!(matches!(read, Err(Error::Interrupted)), "{read:?}");
    handler.close().unwrap();
    scene.release(&holder);
    assert_eq!(scene.server.keys(), [String::from_utf8(scene.keys().session).unwrap()]);
}

// --------------------------------------------------- holders and servers

#[test]
fn a_wait_ends_when_the_server_has_gone_silent() {
    let scene = Scene::new();
    let proxy = RecordingProxy::start(scene.server.addr());
    let _holder = scene.hold();
    for patience in [3 * SECOND, 60 * SECOND] {
        proxy.clear_fault();
        let silent = backend(&format!("{}?timeout=1&read_timeout=1", proxy.addr()));
        let mut queue = scene.queue(Existence::Any);
        let begun = Instant::now();
        assert!(matches!(queue.step(&silent, &policy(patience)), Ok(Poll::Pending)));
        proxy.set_fault(Fault::Stall);
        let (outcome, _) = wait_at(&silent, &mut queue, patience);
        assert!(matches!(outcome, Err(Error::Exchange { .. })), "{outcome:?}");
        let took = begun.elapsed();
        let limit = LOOKS_AGAIN.min(patience) + SECOND;
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
    let (outcome, _) = wait_at(&backend, &mut scene.queue(Existence::Any), SECOND / 10);
    assert!(matches!(outcome, Err(Error::Busy { .. })), "{outcome:?}");
    proxy.reset();
    let (outcome, took) = wait_at(&backend, &mut scene.queue(Existence::Any), SECOND);
    assert!(matches!(outcome, Err(Error::Busy { .. })), "{outcome:?}");
    let names = proxy.command_names();
    assert!(!names.iter().any(|name| name == "BLPOP"), "nobody will hand it over");
    let asked = proxy.flights() - 1; // and said that it leaves
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
fn a_claim_whose_answer_is_cut_at_any_byte_finds_its_own_lock() {
    let scene = Scene::new();
    let proxy = RecordingProxy::start(scene.server.addr());
    let far = backend(&proxy.addr());
    let keys = scene.keys();
    // The answers to BLPOP, and to the claim with an empty session behind it.
    let claimed = b"*1\r\n:1\r\n$-1\r\n".len();
    for cut in 0..=claimed {
        let holder = scene.hold();
        let baton = holder.as_bytes().len() + b":baton".len();
        let lines = format!("*2\r\n${}\r\n\r\n${baton}\r\n\r\n", keys.baton.len());
        let popped = lines.len() + keys.baton.len() + baton;
        let mut queue = scene.queue(Existence::Any);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let (outcome, took) = wait_at(&far, &mut queue, 10 * SECOND);
                (outcome, took, queue.into_request().token)
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
fn a_server_that_knows_whole_seconds_only_is_asked_to_wait_for_them() {
    let scene = Scene::new();
    let proxy = RecordingProxy::start(scene.server.addr());
    let far = backend(&proxy.addr());
    let holder = scene.hold();
    let mut queue = scene.queue(Existence::Any);
    let patience = 3 * SECOND + SECOND / 2;
    assert!(matches!(queue.step(&far, &policy(patience)), Ok(Poll::Pending)));
    let refusal = b"-ERR timeout is not an integer or out of range\r\n".to_vec();
    proxy.set_fault_once(Fault::GarbageReply(refusal));
    let push = redis::cmd("RPUSH").arg(scene.keys().baton).arg("no baton").clone();
    push.exec(&mut scene.server.client()).unwrap();
    proxy.reset();
    // It ends with its patience all the same.
    let (outcome, took) = wait_at(&far, &mut queue, patience);
    assert!(matches!(outcome, Err(Error::Busy { .. })), "{outcome:?}");
    assert!(took < patience, "{took:?}");
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
    let turn = scene.run(|s, keys| {
        s.claim(
            keys,
            &token,
            LEASE,
            None,
            Existence::Any,
            ReceivedBaton { waiter: inside(&ticket), baton: &baton },
        )
    });
    assert!(matches!(turn, AcquireReply::Busy { .. }), "{turn:?}");
    assert_eq!(scene.counted(), Some(1));
    let mut wait = scene.block();
    scene.release(&next);
    assert!(received(&mut wait).is_some());
}
