//! Every fault of a network or a server, in every call of PHP's save handler:
//! what comes of it, byte by byte, is the table in docs/faults.md.
//!
//! `UPDATE_FAULTS=1 cargo test --test it faults::` writes that file anew.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

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

const TIMEOUT: Duration = Duration::from_millis(600);
/// Two timeouts (a call may be followed by another one that fails as well),
/// and what a busy machine takes. Anything longer is a hang.
const LONGEST: Duration = Duration::from_secs(5);
/// How long a lock lasts if its request is never heard of again.
const LEASE: Duration = Duration::from_secs(10);
/// PHP and the extension need some 30 MB; a server that announces 10^9 of
/// something gets no memory for it.
const MOST_MEMORY_KB: u64 = 96 << 10;
/// What the sessions have to live at first: as many digits in milliseconds
/// from the beginning to the end of the test, as a read's answer has them and
/// is cut at each of its bytes.
const LIFETIME: &str = "900";
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");

/// A call of the save handler: what runs before the fault is there, and the
/// call that it strikes.
struct Call {
    name: &'static str,
    before: &'static str,
    call: &'static str,
    strict: bool,
    /// What is stored then, if it is something else.
    done: Option<Stored>,
    /// Whether it makes a difference only with a lock.
    locked_only: bool,
    /// Somebody else holds the lock: the fault strikes when that one has let
    /// go of it, and BLPOP has said that it is our turn.
    in_turn: bool,
}

/// What Redis has of alice's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// As it was.
    Before,
    Written,
    Touched,
    Removed,
    /// As it was, and its lock is let go of.
    Released,
}

const START: &str = "$ok = session_start(); $of = $_SESSION['of'] ?? 'nobody';";
const STARTED: &str = "session_start(); $of = $_SESSION['of'];";

const CALLS: [Call; 10] = [
    call("read", "session_id('alice');", START, None),
    call("read, unknown id", "session_id('nobody');", START, None),
    Call { strict: true, ..call("validate_sid", "session_id('alice');", START, None) },
    call("create_sid", "session_id('');", START, None),
    call("write", "$_SESSION['n'] = 1;", "$ok = session_write_close();", Some(Stored::Written)),
    call("update_timestamp", "", "$ok = session_write_close();", Some(Stored::Touched)),
    call("destroy", "", "$ok = session_destroy();", Some(Stored::Removed)),
    call("regenerate", "", "$ok = session_regenerate_id(true);", Some(Stored::Removed)),
    Call { locked_only: true, ..call("close", "", "session_abort();", Some(Stored::Released)) },
    Call { locked_only: true, in_turn: true, ..call("claim", "session_id('alice');", START, None) },
];

const fn call(
    name: &'static str,
    before: &'static str,
    call: &'static str,
    done: Option<Stored>,
) -> Call {
    Call { name, before, call, strict: false, done, locked_only: false, in_turn: false }
}

impl Call {
    fn reads(&self) -> bool {
        self.done.is_none()
    }

    fn script(&self, control: u16) -> String {
        let (strict, before, call) = (i32::from(self.strict), self.before, self.call);
        let begin =
            if self.reads() { String::new() } else { format!("session_id('alice'); {STARTED}") };
        let end = match (self.reads(), self.in_turn) {
            (true, false) => "session_abort();",
            // Refused to all but the holder of the lock.
            (true, true) => "if ($ok) { $_SESSION['n'] = 1; session_write_close(); }",
            (false, _) => "",
        };
        format!(
            "ini_set('session.use_strict_mode', {strict}); $ok = null; $of = '';
             function strike() {{ fgets(stream_socket_client('tcp://127.0.0.1:{control}')); }}
             {begin} {before} strike(); {call}
             echo var_export($ok, true), ' of ', $of, '.'; {end}"
        )
    }

    /// Whose data a read may show.
    fn owner(&self) -> &'static str {
        if matches!(self.name, "read, unknown id" | "create_sid") { "nobody" } else { "alice" }
    }
}

/// What the proxy does: a name, the faults for a first flight of these many
/// bytes each way, and whether only the first flight is hit.
struct Row {
    name: &'static str,
    faults: fn(usize, usize) -> Vec<Fault>,
    once: bool,
}

fn protocol_error(bytes: impl Into<Vec<u8>>) -> Vec<Fault> {
    vec![Fault::GarbageReply(bytes.into())]
}

/// All of the first bytes and of the last, and some between.
fn boundaries(len: usize) -> impl Iterator<Item = usize> {
    (0..len).filter(move |&n| n < 24 || n % 9 == 0 || n + 12 >= len)
}

const ROWS: [Row; 19] = [
    Row { name: "request 50 ms late", once: true, faults: |_, _| vec![Fault::Delay(TIMEOUT / 12)] },
    Row {
        name: "answer 50 ms late",
        once: true,
        faults: |_, _| vec![Fault::LateReply(TIMEOUT / 12)],
    },
    Row {
        name: "answer after our timeout",
        once: true,
        faults: |_, _| vec![Fault::LateReply(TIMEOUT * 4 / 3)],
    },
    Row { name: "no answer", once: false, faults: |_, _| vec![Fault::Stall] },
    Row {
        name: "request cut, at any byte",
        once: true,
        faults: |sent, _| boundaries(sent).map(Fault::CutAfterRequestBytes).collect(),
    },
    Row {
        name: "request cut, each time",
        once: false,
        faults: |sent, _| [0, 1, sent / 2, sent - 1].map(Fault::CutAfterRequestBytes).to_vec(),
    },
    Row {
        name: "answer cut, at any byte",
        once: true,
        faults: |_, got| (0..got).map(Fault::CutAfterReplyBytes).collect(),
    },
    Row {
        name: "answer cut, each time",
        once: false,
        faults: |_, _| [0, 1, 2].map(Fault::CutAfterReplyBytes).to_vec(),
    },
    Row { name: "connection reset", once: true, faults: |_, _| vec![Fault::Reset] },
    Row { name: "connection reset, each time", once: false, faults: |_, _| vec![Fault::Reset] },
    Row { name: "answer sent twice", once: true, faults: |_, _| vec![Fault::DuplicateReply] },
    Row {
        name: "not Redis",
        once: true,
        faults: |_, _| protocol_error("HTTP/1.1 400 Bad Request\r\n\r\n"),
    },
    Row {
        name: "a length of 10^9",
        once: true,
        faults: |_, _| {
            let kinds =
                ["$1000000000\r\n", "*1000000000\r\n", "%1000000000\r\n", "$1000000000\r\nabc"];
            kinds.map(|kind| Fault::GarbageReply(kind.into())).to_vec()
        },
    },
    Row {
        name: "lists in lists",
        once: true,
        faults: |_, _| {
            [9, 100_000]
                .map(|deep| Fault::GarbageReply([&b"*1\r\n".repeat(deep), &b":1\r\n"[..]].concat()))
                .to_vec()
        },
    },
    Row {
        name: "a list",
        once: true,
        faults: |_, _| protocol_error("*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
    },
    Row { name: "a number", once: true, faults: |_, _| protocol_error(":77\r\n") },
    Row { name: "a status", once: true, faults: |_, _| protocol_error("+FINE\r\n") },
    Row { name: "null", once: true, faults: |_, _| protocol_error("$-1\r\n") },
    Row { name: "an error", once: true, faults: |_, _| protocol_error("-ERR out of order\r\n") },
];

/// What strikes next: whether once, and only when a waiter's turn has come.
#[derive(Clone)]
struct Next {
    fault: Fault,
    once: bool,
    in_turn: bool,
}

/// Stopped in this order.
struct Fixture {
    site: Site,
    proxy: Arc<RecordingProxy>,
    server: RedisServer,
    next: Arc<Mutex<Next>>,
    /// The server, without the proxy: for whoever else holds the lock.
    direct: Arc<Backend>,
    control: u16,
    locked: bool,
}

impl Fixture {
    fn new(locked: bool) -> Self {
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
    fn reset(&self) {
        self.redis::<()>("FLUSHALL", &[]);
        for name in ["alice", "bob"] {
            let key = format!("PHPREDIS_SESSION:{name}");
            let data = format!("of|s:{}:\"{name}\";n|i:0;", name.len());
            self.redis::<()>("SETEX", &[&key, LIFETIME, &data]);
        }
    }

    /// What the visitor got, and whether the connection was replaced.
    fn strike(&self, call: &Call, fault: Fault, once: bool) -> (Visit, bool) {
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
        let run = |link: &mut dyn ConnectionLike| run(&mut Scripts(link), &location.keys);
        self.direct.run(&location, ReadRouting::Primary, Duration::ZERO, run).unwrap()
    }

    /// Somebody else has alice's session.
    fn hold(&self) -> Token {
        let token = Token::new("").unwrap();
        let (lease, wanted, standing) = (scene::LEASE, Existence::Any, WaiterState::NotWaiting);
        let turn = self.scripts(|s, keys| s.acquire(keys, &token, lease, None, wanted, standing));
        assert!(matches!(turn, AcquireReply::Acquired(_)), "{turn:?}");
        token
    }

    /// That one lets go of it when somebody waits.
    fn hand_over(&self, holder: &Token) {
        wait_until("somebody waits", || waiting(&self.server) == 1);
        assert_eq!(self.scripts(|s, keys| s.release(keys, holder)), LockedOutcome::Done);
    }

    /// The bytes of the flight that a fault strikes: there and back.
    fn flight(&self, call: &Call) -> (usize, usize) {
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

    /// A read has let go of its lock and its place in the queue. Where it has
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
    fn outcome(&self, call: &Call, visit: &Visit, replaced: bool) -> &'static str {
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
    fn assert_in_order(&self, what: &str) {
        let read = "session_start(); echo $_SESSION['of'] ?? 'nobody';";
        let visit = self.site.visit("bob", read);
        assert!(visit.warnings.is_empty() && visit.body == "bob", "{what}, then: {visit:?}");
        // Whatever was held back on connections given up has arrived.
        wait_until("the worker has one connection", || self.proxy.open_connections() == 1);
    }

    fn peak_memory_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.site.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// A table of what came of each fault in each call.
fn table(locked: bool) -> String {
    let fixture = Fixture::new(locked);
    let child = fixture.site.pid();
    let calls: Vec<&Call> = CALLS.iter().filter(|call| locked || !call.locked_only).collect();
    fixture.reset();
    fixture.assert_in_order("at first");
    let mut text = String::from("| |");
    for call in &calls {
        write!(text, " {} |", call.name).unwrap();
    }
    writeln!(text, "\n|---|{}", "---|".repeat(calls.len())).unwrap();
    // Each script is known to the server when its bytes are counted.
    for call in &calls {
        fixture.flight(call);
    }
    let flights: Vec<_> = calls.iter().map(|call| fixture.flight(call)).collect();
    for Row { name, faults, once } in &ROWS {
        write!(text, "| {name} |").unwrap();
        for (call, &(sent, got)) in calls.iter().zip(&flights) {
            let mut outcomes = BTreeSet::new();
            for fault in faults(sent, got) {
                let what = format!("{name} ({fault:.40?}) in {}, locked: {locked}", call.name);
                let (visit, replaced) = fixture.strike(call, fault, *once);
                fixture.assert_in_order(&what);
                let outcome =
                    catch_unwind(AssertUnwindSafe(|| fixture.outcome(call, &visit, replaced)));
                outcomes.insert(outcome.unwrap_or_else(|_| panic!("{what}: {visit:?}")));
                assert_eq!(fixture.site.pid(), child, "{what}: a crash");
            }
            let outcomes: Vec<_> = outcomes.into_iter().collect();
            write!(text, " {} |", outcomes.join("; or ")).unwrap();
        }
        text.push('\n');
    }
    let peak = fixture.peak_memory_kb();
    println!("locked: {locked}, peak of the worker's memory: {peak} kB");
    assert!(peak < MOST_MEMORY_KB, "{peak} kB");
    text
}

#[test]
fn no_fault_in_any_call_crashes_hangs_shows_wrong_data_or_loses_a_write_silently() {
    let [plain, locked] = thread::scope(|scope| {
        [false, true].map(|locked| scope.spawn(move || table(locked))).map(|t| t.join().unwrap())
    });
    let found =
        format!("{INTRODUCTION}\n## Without locking\n\n{plain}\n## With locking\n\n{locked}");
    if std::env::var_os("UPDATE_FAULTS").is_some() {
        fs::create_dir_all(Path::new(TABLE).parent().unwrap()).unwrap();
        fs::write(TABLE, &found).unwrap();
    }
    let known = fs::File::open(TABLE).unwrap();
    let known: Vec<String> = BufReader::new(known).lines().map(Result::unwrap).collect();
    for (number, (known, found)) in known.iter().zip(found.lines()).enumerate() {
        assert_eq!(known, found, "docs/faults.md, line {}", number + 1);
    }
    assert_eq!(known.len(), found.lines().count());
}

const INTRODUCTION: &str = "\
# What each fault leads to

What comes of a call of PHP's save handler when the network or the server fails in the middle of it. Each run of the tests
compares this page with what happens; `UPDATE_FAULTS=1 cargo test --test it faults::` writes it. There is real PHP in
php-fpm, a real Redis, and a proxy between them that does the damage during one call. \"claim\" is a read that had to wait
and takes the lock, after BLPOP has told it that it is its turn. A cut is made at every byte of an answer, and at every
boundary of a request. The next visitor of the same worker is then served without a warning and with their own data.
No fault is left out because of its result.

| outcome | meaning |
|---|---|
| as usual | nothing is noticed |
| recovered | nothing is noticed: the connection is replaced, the call repeated |
| warned, not started | a warning; `session_start()` returns false, nothing is stored. If the server had given a lock by then, and could not say so, the lock ends with its lease |
| warned, not done | a warning; what is stored is as it was |
| warned, but done | a warning, because the client cannot know; the server had done it |
| believed: there is no such session | null is how a server says that |
";
