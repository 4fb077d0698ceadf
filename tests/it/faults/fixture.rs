//! PHP, a proxy and a server, struck by one fault at a time.

use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, thread};

use super::calls::{Call, Stored};
use super::{LEASE, LIFETIME, LONGEST, TIMEOUT};
use crate::support::locking::{scene, waiting};
use crate::support::process::wait_until;
use crate::support::proxy::{Direction, Fault, RecordingProxy};
use crate::support::servers::{Options, RedisServer};
use crate::support::site::{Site, Visit, php};
use redis_session::client::connection_like::ConnectionLike;
use redis_session::key::Keys;
use redis_session::lock::scripts::{AcquireReply, Existence, LockedOutcome, Scripts, WaiterState};
use redis_session::lock::token::Token;
use redis_session::topology::{Backend, ReadRouting};

/// What strikes next: whether once, and only when a waiter's turn has come.
#[derive(Clone)]
struct Next {
    fault: Fault,
    once: bool,
    in_turn: bool,
}

/// Stopped in this order.
pub(super) struct Fixture {
    pub(super) site: Site,
    proxy: Arc<RecordingProxy>,
    server: RedisServer,
    next: Arc<Mutex<Next>>,
    /// The server, without the proxy: for whoever else holds the lock.
    direct: Arc<Backend>,
    control: u16,
    locked: bool,
}

impl Fixture {
    pub(super) fn new(locked: bool) -> Self {
        let server = RedisServer::start(Options::default());
        let proxy = Arc::new(RecordingProxy::start(server.addr()));
        let next = Arc::new(Mutex::new(Next { fault: Fault::None, once: false, in_turn: false }));
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let control = listener.local_addr().unwrap().port();
        thread::spawn({
            let (proxy, next) = (Arc::downgrade(&proxy), next.clone());
            // Ends with the test's process.
            move || {
                for mut client in listener.incoming().flatten() {
                    let Some(proxy) = proxy.upgrade() else { return };
                    let next: Next = next.lock().unwrap().clone();
                    proxy.reset();
                    match (next.in_turn, next.once) {
                        (true, once) => proxy.set_fault_after("BLPOP", next.fault, once),
                        (false, true) => proxy.set_fault_once(next.fault),
                        (false, false) => proxy.set_fault(next.fault),
                    }
                    let _ = client.write_all(b"struck\n");
                }
            }
        });
        let timeout = TIMEOUT.as_secs_f64();
        let path = format!("tcp://{}?timeout={timeout}&read_timeout={timeout}", proxy.addr());
        let locking = if locked { "1" } else { "0" };
        let site = Site::start(&php(&path).ini("redis.session.locking_enabled", locking));
        let direct = scene::backend(&server.addr());
        Self { site, proxy, server, next, direct, control, locked }
    }

    fn redis<T: redis::FromRedisValue>(&self, command: &str, args: &[&str]) -> T {
        redis::cmd(command).arg(args).query(&mut self.server.client()).unwrap()
    }

    /// Alice and Bob have sessions, and nothing else is there.
    pub(super) fn reset(&self) {
        self.redis::<()>("FLUSHALL", &[]);
        for name in ["alice", "bob"] {
            let key = format!("PHPREDIS_SESSION:{name}");
            let data = format!("of|s:{}:\"{name}\";n|i:0;", name.len());
            self.redis::<()>("SETEX", &[&key, LIFETIME, &data]);
        }
    }

    /// What the visitor got, and whether the connection was replaced.
    pub(super) fn strike(&self, call: &Call, fault: Fault, once: bool) -> (Visit, bool) {
        self.reset();
        *self.next.lock().unwrap() = Next { fault, once, in_turn: call.in_turn };
        let visit = thread::scope(|scope| {
            if call.in_turn {
                let holder = self.hold();
                scope.spawn(move || self.hand_over(&holder));
            }
            self.site.visit("", &call.script(self.control))
        });
        self.proxy.clear_fault();
        (visit, self.proxy.connections() > 0)
    }

    fn scripts<T>(&self, run: impl Fn(&mut Scripts<'_>, &Keys) -> redis::RedisResult<T>) -> T {
        let location = scene::location(&self.direct, "alice");
        let run =
            |connection: &mut dyn ConnectionLike| run(&mut Scripts(connection), &location.keys);
        self.direct.run(&location, ReadRouting::Primary, Duration::ZERO, run).unwrap()
    }

    /// Another request has alice's session.
    fn hold(&self) -> Token {
        let token = Token::new("").unwrap();
        let (lease, wanted, waiter) = (scene::LEASE, Existence::Any, WaiterState::NotWaiting);
        let reply = self.scripts(|s, keys| s.acquire(keys, &token, lease, None, wanted, waiter));
        assert!(matches!(reply, AcquireReply::Acquired(_)), "{reply:?}");
        token
    }

    /// That request releases it when another one waits.
    fn hand_over(&self, holder: &Token) {
        wait_until("a request waits", || waiting(&self.server) == 1);
        assert_eq!(self.scripts(|s, keys| s.release(keys, holder)), LockedOutcome::Done);
    }

    /// The bytes of the round trip that a fault strikes: there and back.
    pub(super) fn round_trip(&self, call: &Call) -> (usize, usize) {
        let (visit, _) = self.strike(call, Fault::None, true);
        assert_eq!(visit.warnings, [""; 0], "{}", call.name);
        let mut traffic = self.proxy.traffic().into_iter().flatten();
        let mut bytes = |expected| match traffic.next() {
            Some((direction, bytes)) if direction == expected => bytes.len(),
            other => panic!("{}: {other:?}", call.name),
        };
        (bytes(Direction::ToServer), bytes(Direction::ToClient))
    }

    fn stored(&self) -> Stored {
        let data: Option<String> = self.redis("GET", &["PHPREDIS_SESSION:alice"]);
        let ttl: i64 = self.redis("TTL", &["PHPREDIS_SESSION:alice"]);
        let locked: bool = self.redis("EXISTS", &["PHPREDIS_SESSION:alice_LOCK"]);
        match data.as_deref() {
            None => Stored::Removed,
            Some("of|s:5:\"alice\";n|i:1;") => Stored::Written,
            Some("of|s:5:\"alice\";n|i:0;") if ttl > 900 => Stored::Touched,
            Some("of|s:5:\"alice\";n|i:0;") if self.locked && !locked => Stored::Released,
            Some("of|s:5:\"alice\";n|i:0;") => Stored::Before,
            Some(other) => panic!("wrong data: {other}"),
        }
    }

    /// A read has given up its lock and its place in the queue. Where it has
    /// failed, the server may not have been told, and they end by themselves.
    fn assert_nothing_stays(&self, failed: bool) {
        for companion in ["_LOCK", "_WAITERS:2", "_BATON"] {
            let key = format!("PHPREDIS_SESSION:alice{companion}");
            let left: i64 = self.redis("PTTL", &[&key]);
            let ends =
                failed && u64::try_from(left).is_ok_and(|ms| Duration::from_millis(ms) <= LEASE);
            assert!(left == -2 || ends, "{companion} is left for {left} ms");
        }
    }

    /// What came of it, in one of few words.
    pub(super) fn outcome(&self, call: &Call, visit: &Visit, replaced: bool) -> &'static str {
        let Visit { body, warnings, took } = visit;
        assert!(*took < LONGEST, "a hang of {took:?}");
        assert!(!body.contains("Fatal") && !body.contains("panic"), "{body}");
        let answer = body.lines().last().unwrap_or_default();
        let warned = !warnings.is_empty();
        let quietly = if replaced { "recovered" } else { "as usual" };
        if call.reads() {
            self.assert_nothing_stays(warned);
            let written = self.stored() == Stored::Written;
            assert_eq!(written, call.in_turn && !warned, "{body}");
            let whole = format!("true of {}.", call.owner());
            return match (warned, answer) {
                (false, answer) if answer == whole => quietly,
                (false, "true of nobody.") => "believed: there is no such session",
                (true, "false of nobody.") => "warned, not started",
                (true, answer) if answer == whole => "started; warned of the lock",
                _ => panic!("wrong data: {body}"),
            };
        }
        let stored = self.stored();
        let done = Some(stored) == call.done;
        match (warned, done) {
            (false, true) => quietly,
            (false, false) => panic!("a silent loss, {stored:?}: {body}"),
            (true, true) => "warned, but done",
            (true, false) => "warned, not done",
        }
    }

    /// The next visitor gets what is theirs, over a connection that is sound.
    pub(super) fn assert_in_order(&self, what: &str) {
        let read = "session_start(); echo $_SESSION['of'] ?? 'nobody';";
        let visit = self.site.visit("bob", read);
        assert!(visit.warnings.is_empty() && visit.body == "bob", "{what}, then: {visit:?}");
        // Whatever was held back on connections given up has arrived.
        wait_until("the worker has one connection", || self.proxy.open_connections() == 1);
    }

    pub(super) fn peak_memory_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.site.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}
