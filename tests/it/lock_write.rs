//! What is stored under a lock: only by its holder, and once; and what becomes
//! of a large session on its way there.
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use std::io;
use std::time::Duration;

use crate::support::locking::scene::{
    LEASE, SECOND, SID, Scene, backend, handler, id, inside, joining, received, storing, ttl,
};
use crate::support::process::wait_until;
use crate::support::proxy::{Fault, RecordingProxy};
use redis::{RedisResult, Value};
use redis_session::client::connection_like::{ConnectionLike, WaitForReplicas};
use redis_session::error::Error;
use redis_session::lock::scripts::{
    AcquireReply, Existence, LockedOutcome, ReceivedBaton, Scripts, WaiterState, WriteOptions,
};
use redis_session::lock::token::Token;
use redis_session::session::handler::{Handler, WriteCause};
use redis_session::topology::{Backend, ReadRouting};
use std::task::Poll;

/// Sizes that pass through the script, and those that are staged beside it.
const SMALL: [usize; 2] = [0, 2047];
const STAGED: [usize; 3] = [2048, 2049, 300_000];

fn data(size: usize) -> Vec<u8> {
    b"\x00\r\n\xffabc".iter().copied().cycle().take(size).collect()
}

/// What PHP's write does, without PHP.
fn write(scene: &Scene, token: &Token, repeat: bool, data: &[u8]) -> LockedOutcome {
    scene.run(|s, keys| {
        s.write(keys, token, WriteOptions { is_repeat: repeat, ..storing(false) }, data)
    })
}

fn name(key: Vec<u8>) -> String {
    String::from_utf8(key).unwrap()
}

/// All keys but those that belong there.
fn left_over(scene: &Scene) -> Vec<String> {
    let keys = scene.keys();
    let expected = [keys.session, keys.lock, keys.waiters].map(name);
    scene.server.keys().into_iter().filter(|key| !expected.contains(key)).collect()
}

fn ask<T: redis::FromRedisValue>(scene: &Scene, command: &[&[u8]]) -> T {
    let mut request = redis::Cmd::new();
    command.iter().for_each(|word| {
        request.arg(word);
    });
    request.query(&mut scene.server.client()).unwrap()
}

/// Takes the lock away, as its lease does when it ends.
fn expire(scene: &Scene) {
    let _: i64 = ask(scene, &[b"DEL", &scene.keys().lock]);
}

// ------------------------------------------------------------ who may write

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
fn a_session_that_is_gone_is_not_written_and_lets_go_of_its_lock_also_where_it_is_asked_twice() {
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

// ------------------------------------------------- on the way to the server

/// Runs an exchange through a proxy; the fault strikes on the connection that
/// an earlier exchange has made.
struct Way {
    proxy: RecordingProxy,
    backend: std::sync::Arc<Backend>,
}

impl Way {
    fn to(scene: &Scene) -> Self {
        let proxy = RecordingProxy::start(scene.server.addr());
        let backend = backend(&proxy.addr());
        let way = Self { proxy, backend };
        let keys = scene.keys();
        let _ = way.run(scene, |link| Scripts(link).release(&keys, &Token::new("").unwrap()));
        way.proxy.reset();
        way
    }

    fn run<T>(
        &self,
        scene: &Scene,
        exchange: impl FnMut(&mut dyn ConnectionLike) -> RedisResult<T>,
    ) -> Result<T, Error> {
        self.backend.run(&scene.location(), ReadRouting::Primary, Duration::ZERO, exchange)
    }

    fn names(&self) -> String {
        self.proxy.command_names().join(" ")
    }
}

/// A request that has read the session, up to its write.
fn reader(way: &Way) -> Handler {
    let mut handler = handler(&way.proxy.addr(), SECOND);
    let read = handler.read(id(SID), ttl());
    assert!(matches!(read, Ok(Poll::Ready(()))), "{read:?}");
    handler.handed_over();
    handler
}

#[test]
fn a_write_whose_answer_is_lost_with_the_connection_is_repeated_and_was_done_once() {
    for (size, passes, stores, sent) in [
        (100, 1, "setex", "EVALSHA HELLO EVALSHA"),
        // All of SETEX's answer, and the first byte of the script's.
        (100_000, b"+OK\r\n1".len(), "rename", "SETEX EVALSHA HELLO SETEX EVALSHA"),
    ] {
        let scene = Scene::new();
        assert_eq!(write(&scene, &scene.hold(), false, &data(size + 1)), LockedOutcome::Done);
        let way = Way::to(&scene);
        let mut handler = reader(&way);
        let _: () = ask(&scene, &[b"CONFIG", b"RESETSTAT"]);
        way.proxy.reset();
        way.proxy.set_fault_once(Fault::CutAfterReplyBytes(passes));
        assert!(handler.write(id(SID), &data(size), ttl(), WriteCause::Page).unwrap().is_ready());
        assert_eq!(way.names(), sent);
        let stats: String = ask(&scene, &[b"INFO", b"commandstats"]);
        assert!(stats.contains(&format!("cmdstat_{stores}:calls=1,")), "{size}: {stats}");
        assert!(handler.warnings.is_empty(), "{:?}", handler.warnings);
        handler.close().unwrap();
        assert_eq!(scene.stored().unwrap(), data(size));
        assert_eq!(scene.server.keys(), [name(scene.keys().session)]);
    }
}

#[test]
fn a_staged_write_of_which_the_script_never_arrived_is_repeated_and_leaves_nothing() {
    let scene = Scene::new();
    let way = Way::to(&scene);
    let mut handler = reader(&way);
    way.proxy.set_fault_once(Fault::CutAfterRequestBytes(100_000 + 200));
    assert!(handler.write(id(SID), &data(100_000), ttl(), WriteCause::Page).unwrap().is_ready());
    handler.close().unwrap();
    assert_eq!(scene.stored().unwrap(), data(100_000));
    assert_eq!(scene.server.keys(), [name(scene.keys().session)]);
}

#[test]
fn a_server_that_forgot_the_script_gets_it_without_the_data_once_more() {
    let scene = Scene::new();
    let way = Way::to(&scene);
    for (holds, kept) in [(true, LockedOutcome::Done), (false, LockedOutcome::Lost)] {
        let token = scene.hold();
        if !holds {
            expire(&scene);
        }
        let _: () = ask(&scene, &[b"SCRIPT", b"FLUSH"]);
        way.proxy.reset();
        let keys = scene.keys();
        let write = |link: &mut dyn ConnectionLike| {
            Scripts(link).write(&keys, &token, storing(false), &data(100_000))
        };
        assert_eq!(way.run(&scene, write).unwrap(), kept);
        assert_eq!(way.names(), "SETEX EVALSHA EVAL");
        assert_eq!(way.proxy.flights(), 2);
        assert_eq!(scene.stored().unwrap(), data(100_000));
        assert_eq!(scene.server.keys(), [name(scene.keys().session)]);
    }
}

/// A connection whose read timeout is short, by what it says, and that may end
/// behind the first command of a flight.
struct Bent<'a> {
    link: &'a mut dyn ConnectionLike,
    breaks: bool,
}

impl ConnectionLike for Bent<'_> {
    fn call_all(&mut self, commands: &[&[&[u8]]]) -> RedisResult<Vec<Value>> {
        if !self.breaks {
            return self.link.call_all(commands);
        }
        self.link.call_all(commands.get(..1).unwrap())?;
        Err(io::Error::from(io::ErrorKind::TimedOut).into())
    }

    fn send(&mut self, command: &[&[u8]]) -> RedisResult<()> {
        self.link.send(command)
    }

    fn receive(&mut self, patience: Duration) -> RedisResult<Option<Value>> {
        self.link.receive(patience)
    }

    fn read_timeout(&self) -> Duration {
        Duration::from_millis(100)
    }
}

#[test]
fn staged_data_end_by_themselves_within_a_minute_and_are_not_the_session_until_then() {
    let scene = Scene::new();
    scene.store("x|i:1;");
    let token = scene.hold();
    let (keys, location) = (scene.keys(), scene.location());
    let broken = scene.backend.run(&location, ReadRouting::Primary, Duration::ZERO, |link| {
        Scripts(&mut Bent { link, breaks: true }).write(&keys, &token, storing(false), &data(5000))
    });
    assert!(matches!(broken, Err(Error::Exchange { .. })), "{broken:?}");
    let staged = keys.staged(token.random());
    assert_eq!(left_over(&scene), [name(staged.clone())]);
    let lives: i64 = ask(&scene, &[b"TTL", &staged]);
    assert!((1..=60).contains(&lives), "{lives} s");
    assert_eq!(scene.stored().unwrap(), b"x|i:1;");

    assert_eq!(write(&scene, &token, true, &data(5000)), LockedOutcome::Done);
    assert_eq!(scene.stored().unwrap(), data(5000));
    assert_eq!(scene.server.keys(), [name(keys.session)]);
}

#[test]
fn a_staged_write_is_confirmed_by_replicas_as_a_whole() {
    let scene = Scene::new();
    let way = Way::to(&scene);
    let (keys, token) = (scene.keys(), scene.hold());
    let mut confirmed = 7;
    let kept = way.run(&scene, |link| {
        let mut link = Bent { link, breaks: false };
        let mut link = WaitForReplicas {
            connection: &mut link,
            replicas: 1,
            limit: None,
            confirmed: 7,
            refusal: None,
        };
        let kept = Scripts(&mut link).write(&keys, &token, storing(false), &data(5000));
        confirmed = link.confirmed;
        kept
    });
    assert_eq!((kept.unwrap(), confirmed), (LockedOutcome::Done, 0));
    assert!(way.names().starts_with("SETEX EVALSHA WAIT"), "{}", way.names());
}

// ------------------------------------------------- what the server refuses

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
fn assert_wrong_type(turn: Result<AcquireReply, Error>) {
    let text = turn.unwrap_err().to_string();
    assert!(text.contains("WRONGTYPE"), "{text}");
}

#[test]
fn a_lock_on_what_cannot_be_read_is_let_go_of() {
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

// --------------------------------------------------------- what was not read

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
    assert_eq!(scene.server.keys(), [name(scene.keys().session)], "the lock is let go of");
}
