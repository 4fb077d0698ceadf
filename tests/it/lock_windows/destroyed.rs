//! A session that is destroyed during the wait for it.

use std::task::Poll;
use std::thread;

use crate::support::locking::scene::{
    LEASE, SECOND, SID, Scene, handler, id, inside, joining, received, ttl,
};
use crate::support::process::wait_until;
use redis_session::error::Error;
use redis_session::key::Keys;
use redis_session::lock::acquire::Acquired;
use redis_session::lock::scripts::{AcquireReply, Existence, ReceivedBaton, Scripts, Ticket};
use redis_session::lock::token::Token;

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
        let reply = scene.run(|s, keys| Ok(shows(s, keys, ticket, &baton)));
        assert_eq!(reply, AcquireReply::ExistenceMismatch);
        assert_eq!(scene.counted(), Some(waiting), "the others wait still");
    }
    let (ticket, wait) = waits.last_mut().unwrap();
    let baton = received(wait).unwrap();
    let token = Token::new("").unwrap();
    let reply = scene.run(|s, keys| {
        s.claim(
            keys,
            &token,
            LEASE,
            None,
            Existence::Any,
            ReceivedBaton { waiter: inside(ticket), baton: &baton },
        )
    });
    assert_eq!(reply, AcquireReply::Acquired(None));
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
