//! The lock's scripts against a model of what they promise, in any order that
//! requests can ask, wait, claim, write, leave and die in; and the windows
//! between their steps, one by one.
// Tests stop at the first surprise, in their helper functions too.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs
)]

mod support;

use std::cell::Cell;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use redis::Value;
use redis_session::connections::{Checkout, Endpoint, Process, Target};
use redis_session::error::Error;
use redis_session::key::{Keys, STANDALONE_PREFIX, Sid};
use redis_session::lock::Token;
use redis_session::queue::{Outcome, Progress, Queue, Request};
use redis_session::scripts::{CLAIM_WINDOW, Kept, Place, Scripts, Turn, Wanted};
use redis_session::settings::{LockPolicy, ReadOnly, Ttl};
use support::process::{poll, wait_until};
use support::proxy::{Fault, RecordingProxy};
use support::servers::{Options, RedisServer};

const LEASE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const CASES: u32 = 150;
/// Requests that write, and after them those that only read.
const WRITERS: usize = 4;
const READERS: usize = 2;

fn target(addr: &str) -> Arc<Target> {
    Process::current().target(&format!("tcp://{addr}")).unwrap().0
}

fn keys(sid: &str) -> Keys {
    Keys::new(STANDALONE_PREFIX, &Sid::new(sid.as_bytes()).unwrap())
}

fn ttl() -> Ttl {
    Ttl::from_maxlifetime(1440).0
}

fn joining() -> Place {
    Place::Joining { patience: PATIENCE, most: 0 }
}

// ------------------------------------------------------------------- the model

enum State {
    Idle,
    /// Told that it is busy; not yet in the server's queue, or out of it again.
    Counted,
    Blocked(Checkout),
    Popped(Vec<u8>),
    /// With what it has read.
    Holding(Option<Vec<u8>>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lock {
    Free,
    HeldBy(usize),
    /// By a request that is dead.
    Abandoned,
    /// On its way: in the list, or with that waiter, who may have died.
    InList,
    With(Option<usize>),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask,
    Block,
    Claim,
    Write,
    Release,
    Leave,
    Die,
    Expire,
}

struct Model<'a> {
    endpoint: &'a Endpoint,
    server: redis::Connection,
    keys: Keys,
    states: Vec<State>,
    tokens: Vec<Token>,
    /// In the order of the server's queue.
    queue: Vec<usize>,
    lock: Lock,
    counted: i64,
    ghosts: bool,
    data: Option<Vec<u8>>,
    handed: Instant,
    writes: usize,
}

type Checked = Result<(), String>;

macro_rules! check {
    ($condition:expr, $($text:tt)*) => {
        if !$condition { return Err(format!($($text)*)); }
    };
}

impl<'a> Model<'a> {
    fn new(endpoint: &'a Endpoint, server: redis::Connection, sid: &str) -> Self {
        let all = WRITERS + READERS;
        Self {
            endpoint,
            server,
            keys: keys(sid),
            states: (0..all).map(|_| State::Idle).collect(),
            tokens: (0..all).map(|_| Token::new("").unwrap()).collect(),
            queue: Vec::new(),
            lock: Lock::Free,
            counted: 0,
            ghosts: false,
            data: None,
            handed: Instant::now(),
            writes: 0,
        }
    }

    fn reads_only(&self, who: usize) -> bool {
        who >= WRITERS
    }

    /// So slow that the claim window may have passed on its own.
    fn is_stale(&self) -> bool {
        matches!(self.lock, Lock::InList | Lock::With(_))
            && self.handed.elapsed() > CLAIM_WINDOW / 2
    }

    fn take(&mut self, who: usize, step: Step) -> Checked {
        match (step, std::mem::replace(&mut self.states[who], State::Idle)) {
            (Step::Ask, State::Idle) => self.ask(who, joining())?,
            (Step::Ask, State::Counted) => self.ask(who, Place::Inside)?,
            (Step::Block, State::Counted) => self.block(who)?,
            (Step::Claim, State::Popped(baton)) => self.claim(who, &baton)?,
            (Step::Write, State::Holding(read)) => self.write(who, read)?,
            (Step::Release, State::Holding(_)) => self.release(who)?,
            (Step::Leave, State::Counted) => self.leave()?,
            (Step::Leave, State::Blocked(wait)) => {
                self.unblock(who, wait)?;
                self.leave()?;
            }
            (Step::Die, state) => self.die(who, state)?,
            (Step::Expire, state) => {
                self.states[who] = state;
                self.expire();
            }
            (_, state) => self.states[who] = state, // there is no such step from here
        }
        self.compare()
    }

    fn ask(&mut self, who: usize, place: Place) -> Checked {
        if place != Place::Inside {
            self.tokens[who] = Token::new("").unwrap();
        }
        let (keys, token, reads_only) = (&self.keys, &self.tokens[who], self.reads_only(who));
        let turn = self.endpoint.run(|link| {
            if reads_only {
                Scripts(link).peek(keys, None, Wanted::Any, place, b"")
            } else {
                Scripts(link).acquire(keys, token, LEASE, None, Wanted::Any, place)
            }
        });
        let free = matches!(self.lock, Lock::Free | Lock::InList);
        match turn.unwrap() {
            Turn::Ours(data) => {
                check!(free, "{who} got it while {:?}", self.lock);
                check!(data == self.data, "{who} read {data:?} in place of {:?}", self.data);
                if place == Place::Inside {
                    self.counted = (self.counted - 1).max(0);
                }
                if !reads_only {
                    self.lock = Lock::HeldBy(who);
                    self.states[who] = State::Holding(data);
                }
            }
            Turn::Busy { .. } => {
                check!(!free, "{who} was refused while {:?}", self.lock);
                if place != Place::Inside {
                    self.counted += 1;
                }
                self.states[who] = State::Counted;
            }
            other => return Err(format!("{other:?}")),
        }
        Ok(())
    }

    fn block(&mut self, who: usize) -> Checked {
        let mut wait = self.endpoint.send(&[b"BLPOP", &self.keys.baton, b"60"]).unwrap();
        if self.lock == Lock::InList {
            let baton = received(&mut wait).ok_or(format!("{who} was not given the baton"))?;
            self.states[who] = State::Popped(baton);
            self.lock = Lock::With(Some(who));
        } else {
            self.states[who] = State::Blocked(wait);
            self.queue.push(who);
            self.await_queue()?;
        }
        Ok(())
    }

    fn claim(&mut self, who: usize, baton: &[u8]) -> Checked {
        let (keys, token, reads_only) = (&self.keys, &self.tokens[who], self.reads_only(who));
        let turn = self.endpoint.run(|link| {
            if reads_only {
                Scripts(link).peek(keys, None, Wanted::Any, Place::Inside, baton)
            } else {
                Scripts(link).claim(keys, token, LEASE, None, baton)
            }
        });
        let given = self.lock == Lock::With(Some(who));
        // One who does not want the lock needs no baton where there is none.
        let may_read = given || reads_only && matches!(self.lock, Lock::Free | Lock::InList);
        match turn.unwrap() {
            Turn::Ours(data) => {
                check!(may_read, "{who} claimed while {:?}", self.lock);
                check!(data == self.data, "{who} read {data:?} in place of {:?}", self.data);
                self.counted = (self.counted - 1).max(0);
                if !reads_only {
                    self.lock = Lock::HeldBy(who);
                    self.states[who] = State::Holding(data);
                } else if given {
                    self.hand_over()?;
                }
            }
            Turn::Busy { .. } => {
                check!(!may_read, "{who} could not claim");
                self.states[who] = State::Counted;
            }
            other => return Err(format!("{other:?}")),
        }
        Ok(())
    }

    fn write(&mut self, who: usize, read: Option<Vec<u8>>) -> Checked {
        self.writes += 1;
        let old = read.unwrap_or_default();
        let data =
            [&old[old.len().min(6)..], format!("{who}:{};", self.writes).as_bytes()].concat();
        let (keys, token) = (&self.keys, &self.tokens[who]);
        let kept =
            self.endpoint.run(|link| Scripts(link).write(keys, token, ttl(), false, false, &data));
        if self.ended(who, kept.unwrap())? {
            self.data = Some(data);
            self.hand_over()?;
        }
        Ok(())
    }

    fn release(&mut self, who: usize) -> Checked {
        let (keys, token) = (&self.keys, &self.tokens[who]);
        let kept = self.endpoint.run(|link| Scripts(link).release(keys, token));
        if self.ended(who, kept.unwrap())? { self.hand_over() } else { Ok(()) }
    }

    /// Whether the lock was `who`'s to let go of.
    fn ended(&self, who: usize, kept: Kept) -> Result<bool, String> {
        let held = self.lock == Lock::HeldBy(who);
        check!(
            kept == if held { Kept::Done } else { Kept::Lost },
            "{who} {kept:?} {:?}",
            self.lock
        );
        Ok(held)
    }

    fn leave(&mut self) -> Checked {
        let keys = &self.keys;
        self.endpoint.run(|link| Scripts(link).leave(keys)).unwrap();
        self.counted = (self.counted - 1).max(0);
        Ok(())
    }

    fn die(&mut self, who: usize, state: State) -> Checked {
        match state {
            State::Idle => {}
            State::Counted => self.ghosts = true,
            State::Blocked(wait) => {
                self.unblock(who, wait)?;
                self.ghosts = true;
            }
            State::Popped(_) => {
                self.ghosts = true;
                if self.lock == Lock::With(Some(who)) {
                    self.lock = Lock::With(None);
                }
            }
            State::Holding(_) if self.lock == Lock::HeldBy(who) => self.lock = Lock::Abandoned,
            State::Holding(_) => {}
        }
        Ok(())
    }

    /// What time does to a lock; to a baton in the list at the same moment.
    fn expire(&mut self) {
        redis::cmd("DEL").arg(&self.keys.lock).exec(&mut self.server).unwrap();
        if self.lock == Lock::InList {
            redis::cmd("DEL").arg(&self.keys.baton).exec(&mut self.server).unwrap();
        }
        self.lock = Lock::Free;
    }

    /// The longest waiting has the baton now, and nobody else.
    fn hand_over(&mut self) -> Checked {
        self.handed = Instant::now();
        self.lock = Lock::Free;
        if self.counted > 0 {
            self.lock = Lock::InList;
        }
        if self.counted > 0 && !self.queue.is_empty() {
            let next = self.queue.remove(0);
            let State::Blocked(wait) = &mut self.states[next] else { panic!("not blocked") };
            let baton = received(wait).ok_or(format!("{next} still sleeps"))?;
            self.states[next] = State::Popped(baton);
            self.lock = Lock::With(Some(next));
        }
        check!(self.queue.is_empty() || self.lock != Lock::Free, "{:?} sleep", self.queue);
        Ok(())
    }

    fn unblock(&mut self, who: usize, wait: Checkout) -> Checked {
        drop(wait); // closes its connection, as it waits for an answer
        self.queue.retain(|waiting| *waiting != who);
        self.await_queue()
    }

    fn await_queue(&mut self) -> Checked {
        let wanted = format!("blocked_clients:{}\r", self.queue.len());
        let server = &mut self.server;
        let seen = poll(5 * SECOND, || {
            let info: String = redis::cmd("INFO").arg("clients").query(server).unwrap();
            info.contains(&wanted)
        });
        check!(seen, "not {wanted}");
        Ok(())
    }

    /// What Redis holds is what the model says.
    fn compare(&mut self) -> Checked {
        let Keys { session, lock, baton, waiters } = &self.keys;
        let (data, value): (Option<Vec<u8>>, Option<Vec<u8>>) =
            redis::pipe().get(session).get(lock).query(&mut self.server).unwrap();
        let (left, counted): (i64, Option<i64>) =
            redis::pipe().llen(baton).get(waiters).query(&mut self.server).unwrap();
        check!(data == self.data, "stored {data:?} in place of {:?}", self.data);
        check!(counted.unwrap_or(0) == self.counted, "{counted:?} counted, not {}", self.counted);
        check!(counted != Some(0), "a count of nobody is kept");
        check!((left > 0) == (self.lock == Lock::InList), "{left} batons while {:?}", self.lock);
        match (self.lock, value) {
            (Lock::Free, None) | (Lock::Abandoned, Some(_)) => {}
            (Lock::HeldBy(who), Some(value)) => {
                check!(value == self.tokens[who].as_bytes(), "{who} does not hold it");
            }
            (Lock::InList | Lock::With(_), Some(value)) => {
                check!(value.ends_with(b":baton"), "no baton");
            }
            (model, _) => return Err(format!("the lock is not {model:?}")),
        }
        for key in [lock, baton, waiters] {
            let left: i64 = redis::cmd("PTTL").arg(key).query(&mut self.server).unwrap();
            check!(left != -1, "{} lives for ever", String::from_utf8_lossy(key));
        }
        Ok(())
    }

    /// Everybody ends in good order.
    fn finish(&mut self) -> Checked {
        for who in (0..self.states.len()).chain(0..self.states.len()) {
            for step in [Step::Leave, Step::Claim, Step::Write, Step::Leave] {
                self.take(who, step)?;
            }
        }
        check!(self.ghosts || self.counted == 0, "{} counted, nobody there", self.counted);
        if !self.ghosts && self.lock == Lock::Free {
            let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query(&mut self.server).unwrap();
            check!(keys.iter().all(|key| *key == self.keys.session), "{} keys left", keys.len());
        }
        Ok(())
    }
}

/// The baton that a BLPOP was given.
fn received(wait: &mut Checkout) -> Option<Vec<u8>> {
    let deadline = Instant::now() + 5 * SECOND;
    while Instant::now() < deadline {
        match wait.receive(SECOND).unwrap() {
            None => {}
            Some(Value::Array(pair)) => match &pair[1] {
                Value::BulkString(baton) => return Some(baton.clone()),
                other => panic!("{other:?}"),
            },
            Some(other) => panic!("{other:?}"),
        }
    }
    None
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let step = prop_oneof![
        6 => Just(Step::Ask),
        6 => Just(Step::Block),
        6 => Just(Step::Claim),
        5 => Just(Step::Write),
        2 => Just(Step::Release),
        2 => Just(Step::Leave),
        1 => Just(Step::Die),
        1 => Just(Step::Expire),
    ];
    (0..WRITERS + READERS, step)
}

#[test]
fn in_any_order_of_steps_there_is_one_holder_and_the_longest_waiting_is_next() {
    let server = RedisServer::start(Options::default());
    let target = target(&server.addr());
    let endpoint = target.endpoint(b"any");
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let (taken, discarded) = (Cell::new(0), Cell::new(0));
    let steps = proptest::collection::vec(step(), 20..80);
    let outcome = TestRunner::new_with_rng(config, rng).run(&steps, |steps| {
        redis::cmd("FLUSHALL").exec(&mut server.client()).unwrap();
        let mut model = Model::new(endpoint, server.client(), "any");
        taken.set(taken.get() + steps.len());
        match run(&mut model, &steps) {
            Err(_) if model.is_stale() => {
                discarded.set(discarded.get() + 1);
                Ok(())
            }
            outcome => outcome.map_err(TestCaseError::fail),
        }
    });
    outcome.unwrap();
    println!("{} steps; {} of {CASES} cases too slow to judge", taken.get(), discarded.get());
    assert!(discarded.get() < CASES / 2);
}

fn run(model: &mut Model<'_>, steps: &[(usize, Step)]) -> Checked {
    for (number, (who, step)) in steps.iter().enumerate() {
        let before = format!("{:?}, queue {:?}", model.lock, model.queue);
        let done = model.take(*who, *step);
        done.map_err(|e| format!("step {number}, {step:?} of {who} at {before}: {e}"))?;
    }
    model.finish()
}

// ----------------------------------------------------------------- the windows

/// A server, and the session `SID` on it.
struct Scene {
    target: Arc<Target>,
    server: RedisServer,
}

const SID: &str = "scene";

fn scene() -> Scene {
    let server = RedisServer::start(Options::default());
    Scene { target: target(&server.addr()), server }
}

impl Scene {
    fn run<T>(&self, exchange: impl Fn(&mut Scripts<'_>) -> redis::RedisResult<T>) -> T {
        let endpoint = self.target.endpoint(SID.as_bytes());
        endpoint.run(|link| exchange(&mut Scripts(link))).unwrap()
    }

    fn acquire(&self, wanted: Wanted, place: Place) -> (Token, Turn) {
        let token = Token::new("").unwrap();
        let turn = self.run(|s| s.acquire(&keys(SID), &token, LEASE, None, wanted, place));
        (token, turn)
    }

    fn hold(&self) -> Token {
        let (token, turn) = self.acquire(Wanted::Any, joining());
        assert!(matches!(turn, Turn::Ours(_)), "{turn:?}");
        token
    }

    #[track_caller]
    fn join(&self, wanted: Wanted, place: Place) {
        let (_, turn) = self.acquire(wanted, place);
        assert!(matches!(turn, Turn::Busy { .. }), "{turn:?}");
    }

    fn block(&self) -> Checkout {
        let before = self.blocked();
        let endpoint = self.target.endpoint(SID.as_bytes());
        let wait = endpoint.send(&[b"BLPOP", &keys(SID).baton, b"60"]).unwrap();
        wait_until("it is blocked", || self.blocked() == before + 1);
        wait
    }

    fn blocked(&self) -> usize {
        let info: String =
            redis::cmd("INFO").arg("clients").query(&mut self.server.client()).unwrap();
        let line = info.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
        line.unwrap().parse().unwrap()
    }

    fn release(&self, token: &Token) {
        assert_eq!(self.run(|s| s.release(&keys(SID), token)), Kept::Done);
    }

    fn store(&self) {
        redis::cmd("SETEX")
            .arg(keys(SID).session)
            .arg(1440)
            .arg("x|i:1;")
            .exec(&mut self.server.client())
            .unwrap();
    }

    fn counted(&self) -> Option<i64> {
        redis::cmd("GET").arg(keys(SID).waiters).query(&mut self.server.client()).unwrap()
    }

    fn queue(&self, wanted: Wanted) -> Queue {
        Queue::new(Request {
            keys: keys(SID),
            token: Token::new("").unwrap(),
            wanted,
            read_only: ReadOnly::No,
            refresh: None,
        })
    }

    /// Goes all the way, for at most 20 seconds.
    fn wait(&self, mut queue: Queue, patience: Duration) -> (Result<Outcome, Error>, Duration) {
        wait_at(&self.target, &mut queue, patience)
    }
}

fn policy(patience: Duration) -> LockPolicy {
    LockPolicy {
        lease: LEASE,
        renewed: false,
        patience: Some(patience),
        poll: Duration::from_millis(20),
        max_waiters: 0,
        failure_readonly: false,
        script: String::new(),
    }
}

#[track_caller]
fn wait_at(
    target: &Target,
    queue: &mut Queue,
    patience: Duration,
) -> (Result<Outcome, Error>, Duration) {
    let start = Instant::now();
    while start.elapsed() < 20 * SECOND {
        match queue.step(target.endpoint(SID.as_bytes()), &policy(patience)) {
            Ok(Progress::Waiting) => {}
            Ok(Progress::Done(outcome)) => return (Ok(outcome), start.elapsed()),
            Err(error) => return (Err(error), start.elapsed()),
        }
    }
    panic!("still waiting after 20 s, with a patience of {patience:?}");
}

#[test]
fn a_waiter_that_dies_with_the_baton_delays_the_next_by_no_more_than_the_window() {
    let scene = scene();
    let holder = scene.hold();
    scene.join(Wanted::Any, joining());
    let mut first = scene.block();
    thread::scope(|scope| {
        let second = scope.spawn(|| scene.wait(scene.queue(Wanted::Any), 10 * SECOND));
        wait_until("both are blocked", || scene.blocked() == 2);
        scene.release(&holder);
        let handed = Instant::now();
        assert!(received(&mut first).is_some());
        drop(first);
        let (outcome, _) = second.join().unwrap();
        assert!(matches!(outcome, Ok(Outcome::Ours(_))), "{outcome:?}");
        let took = handed.elapsed();
        assert!(took < CLAIM_WINDOW + 2 * SECOND, "the next one slept for {took:?}");
    });
}

#[test]
fn a_waiter_that_gives_up_with_the_baton_delays_the_next_by_no_more_than_the_window() {
    let scene = scene();
    let holder = scene.hold();
    let mut first = scene.queue(Wanted::Any);
    let endpoint = scene.target.endpoint(SID.as_bytes());
    let step = first.step(endpoint, &policy(10 * SECOND));
    assert!(matches!(step, Ok(Progress::Waiting)));
    thread::scope(|scope| {
        let second = scope.spawn(|| scene.wait(scene.queue(Wanted::Any), 10 * SECOND));
        wait_until("both are blocked", || scene.blocked() == 2);
        scene.release(&holder);
        wait_until("the first has the baton", || scene.blocked() == 1);
        let handed = Instant::now();
        first.leave(endpoint);
        let (outcome, _) = second.join().unwrap();
        assert!(matches!(outcome, Ok(Outcome::Ours(_))), "{outcome:?}");
        let took = handed.elapsed();
        assert!(took < CLAIM_WINDOW + 2 * SECOND, "the next one slept for {took:?}");
    });
}

#[test]
fn a_waiter_that_gives_up_does_not_uncount_one_that_came_after_it() {
    let scene = scene();
    let holder = scene.hold();
    // Its wait ends with its patience, so it says so a round trip later.
    let patience = Duration::from_millis(200);
    let joined = Instant::now();
    scene.join(Wanted::Any, Place::Joining { patience, most: 0 });
    thread::sleep((patience + Duration::from_millis(20)).saturating_sub(joined.elapsed()));
    scene.join(Wanted::Any, joining());
    let mut second = scene.block();
    scene.run(|s| s.leave(&keys(SID)));
    scene.release(&holder);
    let baton = second.receive(2 * SECOND).unwrap();
    assert!(baton.is_some(), "the lock is free, and the second sleeps");
}

#[test]
fn a_new_id_that_is_locked_already_does_not_uncount_a_waiter() {
    let scene = scene();
    let _holder = scene.hold();
    scene.join(Wanted::Any, joining());
    let (outcome, _) = scene.wait(scene.queue(Wanted::Unused), SECOND);
    assert!(matches!(outcome, Err(Error::Busy { .. })), "{outcome:?}");
    assert_eq!(scene.counted(), Some(1));
}

#[test]
fn a_waiter_that_asks_again_for_a_session_that_was_destroyed_is_not_counted_any_more() {
    let scene = scene();
    scene.store();
    let holder = scene.hold();
    scene.join(Wanted::Known, joining());
    scene.run(|s| s.destroy(&keys(SID), &holder));
    let (_, turn) = scene.acquire(Wanted::Known, Place::Inside);
    assert_eq!(turn, Turn::Unwanted);
    assert_eq!(scene.counted(), None);
}

#[test]
fn a_session_destroyed_during_the_wait_for_it_is_not_known_any_more() {
    let scene = scene();
    scene.store();
    let holder = scene.hold();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| scene.wait(scene.queue(Wanted::Known), 10 * SECOND));
        wait_until("it is blocked", || scene.blocked() == 1);
        scene.run(|s| s.destroy(&keys(SID), &holder));
        let (outcome, _) = waiter.join().unwrap();
        assert!(matches!(outcome, Ok(Outcome::Unwanted)), "{outcome:?}");
    });
    assert!(poll(2 * SECOND, || scene.server.keys().is_empty()), "{:?}", scene.server.keys());
}

#[test]
fn a_reader_that_finds_the_session_destroyed_passes_the_baton_on() {
    let scene = scene();
    scene.store();
    let holder = scene.hold();
    let peek =
        |place, baton: &[u8]| scene.run(|s| s.peek(&keys(SID), None, Wanted::Known, place, baton));
    assert!(matches!(peek(joining(), b""), Turn::Busy { .. }));
    let mut reader = scene.block();
    scene.join(Wanted::Any, joining());
    let mut writer = scene.block();
    scene.run(|s| s.destroy(&keys(SID), &holder));
    let baton = received(&mut reader).unwrap();
    assert_eq!(peek(Place::Inside, &baton), Turn::Unwanted);
    assert!(writer.receive(2 * SECOND).unwrap().is_some(), "the writer sleeps");
    assert_eq!(scene.counted(), Some(1), "the writer alone waits");
}

#[test]
fn a_wait_ends_when_the_server_has_gone_silent() {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let scene = Scene { target: target(&server.addr()), server };
    let _holder = scene.hold();
    let silent = target(&format!("{}?timeout=1&read_timeout=1", proxy.addr()));
    let mut queue = scene.queue(Wanted::Any);
    let endpoint = silent.endpoint(SID.as_bytes());
    assert!(matches!(queue.step(endpoint, &policy(3 * SECOND)), Ok(Progress::Waiting)));
    proxy.set_fault(Fault::Stall);
    let (outcome, took) = wait_at(&silent, &mut queue, 3 * SECOND);
    assert!(outcome.is_err(), "{outcome:?}");
    assert!(took < 10 * SECOND, "{took:?}");
}

#[test]
fn a_waiter_gives_up_when_its_patience_is_at_its_end_and_leaves_nothing() {
    let scene = scene();
    let holder = scene.hold();
    let (outcome, took) = scene.wait(scene.queue(Wanted::Any), SECOND / 2);
    assert!(matches!(outcome, Err(Error::Busy { .. })), "{outcome:?}");
    assert!(took >= SECOND / 2 && took < 5 * SECOND, "{took:?}");
    assert_eq!(scene.counted(), None);
    scene.release(&holder);
    assert!(scene.server.keys().is_empty());
}

#[test]
fn one_that_is_told_to_wait_no_more_than_so_many_is_refused_at_once() {
    let scene = scene();
    let _holder = scene.hold();
    let place = Place::Joining { patience: PATIENCE, most: 2 };
    scene.join(Wanted::Any, place);
    scene.join(Wanted::Any, place);
    let (_, turn) = scene.acquire(Wanted::Any, place);
    assert!(matches!(turn, Turn::Crowded(_)), "{turn:?}");
    assert_eq!(scene.counted(), Some(2));
}

#[test]
fn a_lock_asked_for_twice_with_one_token_is_given_twice() {
    let scene = scene();
    let token = scene.hold();
    let again = scene.run(|s| s.acquire(&keys(SID), &token, LEASE, None, Wanted::Any, joining()));
    assert!(matches!(again, Turn::Ours(_)), "the answer to the first may have been lost");
    assert_eq!(scene.counted(), None);
}

#[test]
fn a_write_repeated_after_its_answer_was_lost_is_done_once_and_told_so() {
    let scene = scene();
    let token = scene.hold();
    let write =
        |repeat| scene.run(|s| s.write(&keys(SID), &token, ttl(), false, repeat, b"x|i:2;"));
    assert_eq!(write(false), Kept::Done);
    assert_eq!(write(true), Kept::Done);
    assert_eq!(write(false), Kept::Lost);
    redis::cmd("SETEX")
        .arg(keys(SID).session)
        .arg(9)
        .arg("another's")
        .exec(&mut scene.server.client())
        .unwrap();
    assert_eq!(write(true), Kept::Lost, "another has written since");
}

#[test]
fn a_lock_is_renewed_only_while_it_is_held() {
    let scene = scene();
    let token = scene.hold();
    let renew = || scene.run(|s| s.renew(&keys(SID), &token, 2 * LEASE));
    let left = || -> i64 {
        redis::cmd("PTTL").arg(keys(SID).lock).query(&mut scene.server.client()).unwrap()
    };
    assert!(left() <= 60_000);
    assert_eq!(renew(), Kept::Done);
    assert!(left() > 60_000);
    scene.release(&token);
    assert_eq!(renew(), Kept::Lost);
    assert!(scene.server.keys().is_empty());
}
