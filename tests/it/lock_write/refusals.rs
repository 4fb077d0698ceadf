//! What the server refuses: no memory, or a key of another type.

use super::{ask, data, left_over, name, write};
use crate::support::locking::scene::{LEASE, Scene, inside, joining, received, storing};
use crate::support::process::wait_until;
use redis_session::error::Error;
use redis_session::lock::scripts::{
    AcquireReply, Existence, LockedOutcome, ReceivedBaton, WaiterState,
};
use redis_session::lock::token::Token;

/// A staged write to a server that is out of memory.
fn write_without_memory(scene: &Scene) -> Error {
    scene.store("x|i:1;");
    let token = scene.hold();
    let _: () = ask(scene, &[b"CONFIG", b"SET", b"maxmemory", b"1"]);
    let refused = scene.attempt(|s, keys| s.write(keys, &token, storing(false), &data(5000)));
    assert_eq!(scene.stored().unwrap(), b"x|i:1;");
    assert_eq!(left_over(scene), [""; 0]);
    scene.release(&token);
    refused.unwrap_err()
}

#[test]
fn a_server_without_memory_refuses_a_staged_write_and_says_why() {
    let scene = Scene::new();
    assert_eq!(write(&scene, &scene.hold(), false, &data(5000)), LockedOutcome::Done);
    let text = write_without_memory(&scene).to_string();
    assert!(text.contains("OOM"), "{text}");
}

#[test]
fn a_server_without_memory_says_why_also_where_it_does_not_know_the_script() {
    let text = write_without_memory(&Scene::new()).to_string();
    assert!(text.contains("OOM"), "{text}");
}

fn spoil(scene: &Scene) {
    let key = scene.keys().session;
    let _: i64 = ask(scene, &[b"DEL", &key]);
    let _: i64 = ask(scene, &[b"RPUSH", &key, b"not a session"]);
}

#[track_caller]
fn assert_wrong_type(reply: Result<AcquireReply, Error>) {
    let text = reply.unwrap_err().to_string();
    assert!(text.contains("WRONGTYPE"), "{text}");
}

#[test]
fn a_lock_on_what_cannot_be_read_is_released() {
    let scene = Scene::new();
    spoil(&scene);
    let token = Token::new("").unwrap();
    assert_wrong_type(
        scene.attempt(|s, keys| s.acquire(keys, &token, LEASE, None, Existence::Any, joining())),
    );
    assert_wrong_type(scene.attempt(|s, keys| {
        s.peek(keys, &token, None, Existence::Any, WaiterState::NotWaiting, b"")
    }));
    assert_eq!(scene.server.keys(), [name(scene.keys().session)]);
}

#[test]
fn a_baton_for_what_cannot_be_read_is_passed_on() {
    let scene = Scene::new();
    let holder = scene.hold();
    let mut waits = [(); 3].map(|()| {
        let ticket = scene.join(Existence::Any, joining());
        (ticket, scene.block())
    });
    spoil(&scene);
    scene.release(&holder);
    let token = Token::new("").unwrap();
    for (number, (ticket, wait)) in waits.iter_mut().enumerate() {
        let baton = received(wait).expect("it sleeps");
        assert_wrong_type(scene.attempt(|s, keys| match number {
            0 => s.peek(keys, &token, None, Existence::Any, inside(ticket), &baton),
            _ => s.claim(
                keys,
                &token,
                LEASE,
                None,
                Existence::Any,
                ReceivedBaton { waiter: inside(ticket), baton: &baton },
            ),
        }));
    }
    wait_until("nothing is left", || scene.server.keys() == [name(scene.keys().session)]);
}
