//! Connections that break during a write, and servers that have forgotten the script.

use std::io;
use std::task::Poll;
use std::time::Duration;

use super::{ask, data, expire, left_over, name, write};
use crate::support::locking::scene::{SECOND, SID, Scene, backend, handler, id, storing, ttl};
use crate::support::proxy::{Fault, RecordingProxy};
use redis::{RedisResult, Value};
use redis_session::client::connection_like::{ConnectionLike, WaitForReplicas};
use redis_session::error::Error;
use redis_session::lock::scripts::{LockedOutcome, Scripts};
use redis_session::lock::token::Token;
use redis_session::session::handler::{Handler, WriteCause};
use redis_session::topology::{Backend, ReadRouting};

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
        let _ = way
            .run(scene, |connection| Scripts(connection).release(&keys, &Token::new("").unwrap()));
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
        let write = |connection: &mut dyn ConnectionLike| {
            Scripts(connection).write(&keys, &token, storing(false), &data(100_000))
        };
        assert_eq!(way.run(&scene, write).unwrap(), kept);
        assert_eq!(way.names(), "SETEX EVALSHA EVAL");
        assert_eq!(way.proxy.round_trips(), 2);
        assert_eq!(scene.stored().unwrap(), data(100_000));
        assert_eq!(scene.server.keys(), [name(scene.keys().session)]);
    }
}

/// A connection whose read timeout is short, by what it says, and that may end
/// after the first command of a pipeline.
struct Bent<'a> {
    connection: &'a mut dyn ConnectionLike,
    breaks: bool,
}

impl ConnectionLike for Bent<'_> {
    fn call_all(&mut self, commands: &[&[&[u8]]]) -> RedisResult<Vec<Value>> {
        if !self.breaks {
            return self.connection.call_all(commands);
        }
        self.connection.call_all(commands.get(..1).unwrap())?;
        Err(io::Error::from(io::ErrorKind::TimedOut).into())
    }

    fn send(&mut self, command: &[&[u8]]) -> RedisResult<()> {
        self.connection.send(command)
    }

    fn receive(&mut self, poll_timeout: Duration) -> RedisResult<Option<Value>> {
        self.connection.receive(poll_timeout)
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
    let broken = scene.backend.run(&location, ReadRouting::Primary, Duration::ZERO, |connection| {
        Scripts(&mut Bent { connection, breaks: true }).write(
            &keys,
            &token,
            storing(false),
            &data(5000),
        )
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
    let kept = way.run(&scene, |connection| {
        let mut connection = Bent { connection, breaks: false };
        let mut connection = WaitForReplicas {
            connection: &mut connection,
            replicas: 1,
            limit: None,
            confirmed: 7,
            refusal: None,
        };
        let kept = Scripts(&mut connection).write(&keys, &token, storing(false), &data(5000));
        confirmed = connection.confirmed;
        kept
    });
    assert_eq!((kept.unwrap(), confirmed), (LockedOutcome::Done, 0));
    assert!(way.names().starts_with("SETEX EVALSHA WAIT"), "{}", way.names());
}
