//! The lock's scripts against a model of what they promise, in any order that
//! requests can ask, wait, lose their wait, claim, write, leave and die in.
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::support::locking::scene::{
    LEASE, SECOND, backend, joining, location, received, storing, ttl,
};
use crate::support::process::poll;
use crate::support::servers::{Options, RedisServer};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use redis_session::client::endpoint::PooledConnection;
use redis_session::key::Keys;
use redis_session::lock::scripts::{
    AcquireReply, CLAIM_WINDOW, Existence, LockedOutcome, ReceivedBaton, Scripts, Ticket,
    WaiterState, WriteOptions,
};
use redis_session::lock::token::Token;
use redis_session::topology::{Backend, ReadRouting, SessionLocation};

const CASES: u32 = 300;
/// Requests that write, and after them those that only read.
const WRITERS: usize = 4;
const READERS: usize = 2;

/// How long those aside have to take what was offered to one who came later.
const EARLY: Duration = Duration::from_millis(100);

enum State {
    Idle,
    /// Told that it is busy; not yet in the server's queue, or out of it again.
    Counted,
    Blocked(PooledConnection),
    Popped(Vec<u8>),
    /// With what it has read.
    Holding(Option<Vec<u8>>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Lock {
    Free,
    HeldBy(usize),
    /// By a request that is dead.
    Abandoned,
    /// On its way, as this baton: in the list, or with whoever popped it.
    Handed(Vec<u8>),
}

/// One who waits, as the server knows it.
struct Waiter {
    /// None is one that is dead.
    who: Option<usize>,
    aside: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask,
    Block,
    /// Loses the connection that it stands in the queue with.
    Lose,
    Look,
    /// Whether it is said again, as if unanswered.
    Claim(bool),
    /// So many bytes; and whether it is said again, as if unanswered.
    Write(usize, bool),
    Release,
    Destroy,
    Leave,
    Die,
    Expire,
}

struct Model<'a> {
    backend: &'a Backend,
    server: redis::Connection,
    location: SessionLocation,
    states: Vec<State>,
    tokens: Vec<Token>,
    tickets: Vec<Option<Ticket>>,
    /// Who waits, in the order in which they came.
    waiters: Vec<Waiter>,
    /// In the order of the server's queue.
    queue: Vec<usize>,
    lock: Lock,
    /// The baton that nobody has popped; it may be out of date.
    list: Option<Vec<u8>>,
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
    fn new(backend: &'a Backend, server: redis::Connection) -> Self {
        let all = WRITERS + READERS;
        Self {
            backend,
            server,
            location: location(backend, "any"),
            states: (0..all).map(|_| State::Idle).collect(),
            tokens: (0..all).map(|_| Token::new("").unwrap()).collect(),
            tickets: vec![None; all],
            waiters: Vec::new(),
            queue: Vec::new(),
            lock: Lock::Free,
            list: None,
            data: None,
            handed: Instant::now(),
            writes: 0,
        }
    }

    fn run<T>(&self, exchange: impl Fn(&mut Scripts<'_>, &Keys) -> redis::RedisResult<T>) -> T {
        let Self { backend, location, .. } = self;
        let outcome = backend.run(location, ReadRouting::Primary, Duration::ZERO, |link| {
            exchange(&mut Scripts(link), &location.keys)
        });
        outcome.unwrap()
    }

    fn reads_only(&self, who: usize) -> bool {
        who >= WRITERS
    }

    /// Nobody holds it, and no waiter was given it.
    fn is_free(&self) -> bool {
        match &self.lock {
            Lock::Free => true,
            Lock::Handed(baton) => self.list.as_ref() == Some(baton),
            Lock::HeldBy(_) | Lock::Abandoned => false,
        }
    }

    /// So slow that a baton may have run out by itself, or been offered again.
    fn is_stale(&self) -> bool {
        (self.list.is_some() || matches!(self.lock, Lock::Handed(_)))
            && self.handed.elapsed() > CLAIM_WINDOW / 2
    }

    fn take(&mut self, who: usize, step: Step) -> Checked {
        match (step, std::mem::replace(&mut self.states[who], State::Idle)) {
            (Step::Ask, State::Idle | State::Counted) => self.ask(who)?,
            (Step::Block, State::Counted) => self.block(who)?,
            (Step::Lose, State::Blocked(wait)) => {
                self.unblock(who, wait)?;
                self.waiter(who).aside = true;
                self.ask(who)?;
            }
            (Step::Look, State::Blocked(wait)) => {
                self.states[who] = State::Blocked(wait);
                self.look(who)?;
            }
            (Step::Claim(again), State::Popped(baton)) => self.claim(who, &baton, again)?,
            (Step::Write(size, again), State::Holding(read)) => {
                self.write(who, read, size, again)?;
            }
            (Step::Release, State::Holding(_)) => self.release(who)?,
            (Step::Destroy, State::Holding(_)) => self.destroy(who)?,
            (Step::Leave, State::Counted | State::Popped(_)) => self.leave(who)?,
            (Step::Leave, State::Blocked(wait)) => {
                self.unblock(who, wait)?;
                self.leave(who)?;
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

    fn place_of(&self, who: usize) -> Option<usize> {
        self.waiters.iter().position(|waiter| waiter.who == Some(who))
    }

    fn waiter(&mut self, who: usize) -> &mut Waiter {
        let place = self.place_of(who).unwrap();
        &mut self.waiters[place]
    }

    fn forget(&mut self, who: usize) {
        self.waiters.retain(|waiter| waiter.who != Some(who));
        self.tickets[who] = None;
    }

    fn standing(&self, who: usize) -> (Option<Ticket>, bool) {
        let in_line = self.place_of(who).is_none_or(|place| !self.waiters[place].aside);
        (self.tickets[who].clone(), in_line)
    }

    /// The server says that it is not its turn.
    fn is_told_to_wait(&mut self, who: usize, ticket: Option<Ticket>) -> Checked {
        check!(ticket.is_some(), "{who} has no ticket");
        match &self.tickets[who] {
            None => self.waiters.push(Waiter { who: Some(who), aside: false }),
            Some(old) => check!(ticket.as_ref() == Some(old), "{who} has lost its place"),
        }
        self.tickets[who] = ticket;
        self.states[who] = State::Counted;
        Ok(())
    }

    fn ask(&mut self, who: usize) -> Checked {
        if self.tickets[who].is_none() {
            self.tokens[who] = Token::new("").unwrap();
        }
        let (token, reads_only) = (self.tokens[who].clone(), self.reads_only(who));
        let (ticket, in_line) = self.standing(who);
        let turn = self.run(|scripts, keys| {
            let standing = standing(ticket.as_ref(), in_line);
            if reads_only {
                scripts.peek(keys, &token, None, Existence::Any, standing, b"")
            } else {
                scripts.acquire(keys, &token, LEASE, None, Existence::Any, standing)
            }
        });
        let is_next = self.waiters.is_empty() || self.place_of(who) == Some(0);
        let may = match &self.lock {
            Lock::Free => reads_only || is_next,
            Lock::Handed(_) if reads_only || self.waiters.is_empty() => self.is_free(),
            Lock::Handed(_) => is_next,
            Lock::HeldBy(_) | Lock::Abandoned => false,
        };
        let was_free = self.lock == Lock::Free;
        match turn {
            AcquireReply::Acquired(data) => {
                check!(may, "{who} got it while {:?}", self.lock);
                check!(data == self.data, "{who} read something else");
                self.forget(who);
                if reads_only {
                    if was_free && !self.waiters.is_empty() {
                        self.let_go(who)?;
                    }
                    return Ok(());
                }
                if matches!(self.lock, Lock::Handed(_)) {
                    self.list = None;
                }
                self.lock = Lock::HeldBy(who);
                self.states[who] = State::Holding(data);
            }
            AcquireReply::Busy { ticket, .. } => {
                check!(!may, "{who} was refused while {:?}", self.lock);
                self.is_told_to_wait(who, ticket)?;
                if was_free {
                    self.let_go(who)?; // to those who came before
                }
            }
            other => return Err(format!("{other:?}")),
        }
        Ok(())
    }

    fn look(&mut self, who: usize) -> Checked {
        let (ticket, in_line) = self.standing(who);
        let token = &self.tokens[who];
        let turn = self.run(|scripts, keys| {
            scripts.heartbeat(keys, token, standing(ticket.as_ref(), in_line))
        });
        check!(matches!(turn, AcquireReply::Busy { .. }), "{who} was told {turn:?}");
        if self.lock == Lock::Free { self.let_go(who) } else { Ok(()) }
    }

    fn block(&mut self, who: usize) -> Checked {
        let command: [&[u8]; 3] = [b"BLPOP", &self.location.keys.baton, b"60"];
        let mut wait = self.backend.send(&self.location, Duration::ZERO, &command).unwrap();
        if self.list.is_some() {
            let baton = received(&mut wait).ok_or(format!("{who} was not given the baton"))?;
            check!(self.list.take() == Some(baton.clone()), "{who} was given another baton");
            self.states[who] = State::Popped(baton);
        } else {
            self.states[who] = State::Blocked(wait);
            self.queue.push(who);
            self.await_queue()?;
        }
        Ok(())
    }

    fn claim(&mut self, who: usize, baton: &[u8], again: bool) -> Checked {
        let (token, reads_only) = (self.tokens[who].clone(), self.reads_only(who));
        let (ticket, in_line) = self.standing(who);
        let early = self.handed.elapsed() < EARLY / 2;
        let claim = || {
            self.run(|scripts, keys| {
                let standing = standing(ticket.as_ref(), in_line);
                if reads_only {
                    scripts.peek(keys, &token, None, Existence::Any, standing, baton)
                } else {
                    scripts.claim(
                        keys,
                        &token,
                        LEASE,
                        None,
                        Existence::Any,
                        ReceivedBaton { waiter: standing, baton },
                    )
                }
            })
        };
        let turn = claim();
        let given = self.lock == Lock::Handed(baton.to_vec());
        let before = self.place_of(who).unwrap();
        let passed_over = self.waiters[..before].iter().any(|waiter| waiter.aside);
        match turn {
            AcquireReply::Acquired(data) if reads_only => {
                // One who does not want the lock needs no baton where there is none.
                check!(given || self.is_free(), "{who} read while {:?}", self.lock);
                check!(data == self.data, "{who} read something else");
                let was_free = self.lock == Lock::Free;
                self.forget(who);
                if given || was_free && !self.waiters.is_empty() {
                    self.let_go(who)?;
                }
            }
            AcquireReply::Acquired(data) => {
                check!(given, "{who} claimed while {:?}", self.lock);
                check!(!(passed_over && early), "{who} was served before one who came earlier");
                check!(data == self.data, "{who} read something else");
                if again {
                    check!(
                        claim() == AcquireReply::Acquired(data.clone()),
                        "{who} did not find its own lock"
                    );
                }
                self.waiters[..before].iter_mut().for_each(|waiter| waiter.aside = false);
                self.forget(who);
                self.lock = Lock::HeldBy(who);
                self.states[who] = State::Holding(data);
            }
            AcquireReply::Busy { ticket, .. } => {
                let may = given && !passed_over || reads_only && self.is_free();
                check!(!may, "{who} could not claim");
                self.is_told_to_wait(who, ticket)?;
                if !reads_only {
                    self.waiter(who).aside = true;
                    if given && self.list.is_none() {
                        self.offer(baton.to_vec())?;
                    }
                }
            }
            other => return Err(format!("{other:?}")),
        }
        Ok(())
    }

    fn write(&mut self, who: usize, read: Option<Vec<u8>>, size: usize, again: bool) -> Checked {
        self.writes += 1;
        // One that was there and is not any more stays away.
        let known = read.is_some();
        let gone = known && self.data.is_none();
        // What was read, and by whom it was written, are in what is stored.
        let read = read.map_or(0, |read| read.len());
        let mut data = format!("{}:{who}:{read};", self.writes).into_bytes();
        data.resize(size.max(data.len()), b'x');
        let held = self.is_held_by(who);
        for repeat in [false, true].into_iter().take(1 + usize::from(again)) {
            let token = &self.tokens[who];
            let kept = self.run(|scripts, keys| {
                scripts.write(
                    keys,
                    token,
                    WriteOptions { is_repeat: repeat, must_exist: known, ..storing(false) },
                    &data,
                )
            });
            if gone && (held || repeat) {
                check!(kept == LockedOutcome::Gone, "{who} {kept:?} {:?}", self.lock);
            } else {
                self.check_kept(who, held, kept)?;
            }
        }
        if held {
            self.data = (!gone).then_some(data);
            self.let_go(who)?;
        }
        Ok(())
    }

    fn release(&mut self, who: usize) -> Checked {
        let held = self.is_held_by(who);
        let kept = self.run(|scripts, keys| scripts.release(keys, &self.tokens[who]));
        self.check_kept(who, held, kept)?;
        if held { self.let_go(who) } else { Ok(()) }
    }

    fn destroy(&mut self, who: usize) -> Checked {
        let held = self.is_held_by(who);
        self.run(|scripts, keys| scripts.destroy(keys, &self.tokens[who]));
        self.data = None;
        if held { self.let_go(who) } else { Ok(()) }
    }

    fn is_held_by(&self, who: usize) -> bool {
        self.lock == Lock::HeldBy(who)
    }

    fn check_kept(&self, who: usize, held: bool, kept: LockedOutcome) -> Checked {
        let expected = if held { LockedOutcome::Done } else { LockedOutcome::Lost };
        check!(kept == expected, "{who} {kept:?} {:?}", self.lock);
        Ok(())
    }

    fn leave(&mut self, who: usize) -> Checked {
        let ticket = self.tickets[who].clone().unwrap();
        self.run(|scripts, keys| scripts.leave(keys, &ticket));
        self.forget(who);
        match &self.lock {
            Lock::Handed(baton) if !self.waiters.is_empty() && self.list.is_none() => {
                self.offer(baton.clone())
            }
            _ => Ok(()),
        }
    }

    fn die(&mut self, who: usize, state: State) -> Checked {
        match state {
            State::Blocked(wait) => self.unblock(who, wait)?,
            State::Holding(_) if self.is_held_by(who) => self.lock = Lock::Abandoned,
            State::Idle | State::Counted | State::Popped(_) | State::Holding(_) => {}
        }
        if self.tickets[who].take().is_some() {
            self.waiter(who).who = None;
        }
        Ok(())
    }

    /// What time does to a lock; to a baton in the list at the same moment.
    fn expire(&mut self) {
        redis::cmd("DEL").arg(&self.location.keys.lock).exec(&mut self.server).unwrap();
        if matches!(self.lock, Lock::Handed(_)) {
            redis::cmd("DEL").arg(&self.location.keys.baton).exec(&mut self.server).unwrap();
            self.list = None;
        }
        self.lock = Lock::Free;
    }

    fn let_go(&mut self, who: usize) -> Checked {
        self.hand_over([self.tokens[who].as_bytes(), b":baton"].concat())
    }

    fn hand_over(&mut self, baton: Vec<u8>) -> Checked {
        self.lock = Lock::Free;
        if !self.waiters.is_empty() {
            self.handed = Instant::now();
            self.lock = Lock::Handed(baton.clone());
            self.offer(baton)?;
        }
        check!(self.queue.is_empty() || self.lock != Lock::Free, "{:?} sleep", self.queue);
        Ok(())
    }

    /// The longest waiting has the baton now, and nobody else.
    fn offer(&mut self, baton: Vec<u8>) -> Checked {
        if self.queue.is_empty() {
            self.list = Some(baton);
            return Ok(());
        }
        self.list = None;
        let next = self.queue.remove(0);
        let State::Blocked(wait) = &mut self.states[next] else { panic!("not blocked") };
        let given = received(wait).ok_or(format!("{next} still sleeps"))?;
        check!(given == baton, "{next} was given another baton");
        self.states[next] = State::Popped(baton);
        Ok(())
    }

    fn unblock(&mut self, who: usize, wait: PooledConnection) -> Checked {
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
        let Keys { session, lock, baton, waiters } = &*self.location.keys;
        type Found = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<String>, Vec<Vec<u8>>);
        let (data, value, waiting, list): Found = redis::pipe()
            .get(session)
            .get(lock)
            .zrange(waiters, 0, -1)
            .lrange(baton, 0, -1)
            .query(&mut self.server)
            .unwrap();
        check!(data == self.data, "what is stored is not what was written last");
        let places: Vec<bool> = waiting.iter().map(|member| member.ends_with(":aside")).collect();
        let expected: Vec<bool> = self.waiters.iter().map(|waiter| waiter.aside).collect();
        check!(places == expected, "{waiting:?} wait, aside {expected:?}");
        let expected: Vec<Vec<u8>> = self.list.iter().cloned().collect();
        check!(list == expected, "{} batons while {:?}", list.len(), self.lock);
        match (&self.lock, value) {
            (Lock::Free, None) | (Lock::Abandoned, Some(_)) => {}
            (Lock::HeldBy(who), Some(value)) => {
                check!(value == self.tokens[*who].as_bytes(), "{who} does not hold it");
            }
            (Lock::Handed(baton), Some(value)) => check!(value == *baton, "another baton"),
            (model, _) => return Err(format!("the lock is not {model:?}")),
        }
        let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query(&mut self.server).unwrap();
        for key in &keys {
            let name = String::from_utf8_lossy(key);
            check!([session, lock, baton, waiters].contains(&key), "{name} is left");
            let left: i64 = redis::cmd("TTL").arg(key).query(&mut self.server).unwrap();
            check!(left != -1, "{name} lives for ever");
            let lifetime = ttl().seconds();
            check!(key != session || left > lifetime - 60, "the session lives for {left} s");
        }
        Ok(())
    }

    /// Everybody ends in good order.
    fn finish(&mut self) -> Checked {
        for who in (0..self.states.len()).chain(0..self.states.len()) {
            for step in [Step::Claim(false), Step::Leave, Step::Write(9, false)] {
                self.take(who, step)?;
            }
        }
        check!(self.waiters.iter().all(|waiter| waiter.who.is_none()), "somebody waits still");
        Ok(())
    }
}

fn standing(ticket: Option<&Ticket>, in_line: bool) -> WaiterState<'_> {
    match ticket {
        None => joining(),
        Some(ticket) => WaiterState::Waiting { ticket, expires_after: LEASE, in_line },
    }
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    // Around the size from which a session is staged, and far from it.
    let size = prop_oneof![Just(0), 2040_usize..2060, Just(20_000)];
    let step = prop_oneof![
        6 => Just(Step::Ask),
        6 => Just(Step::Block),
        2 => Just(Step::Lose),
        2 => Just(Step::Look),
        6 => any::<bool>().prop_map(Step::Claim),
        5 => (size, any::<bool>()).prop_map(|(size, again)| Step::Write(size, again)),
        2 => Just(Step::Release),
        1 => Just(Step::Destroy),
        3 => Just(Step::Leave),
        1 => Just(Step::Die),
        1 => Just(Step::Expire),
    ];
    (0..WRITERS + READERS, step)
}

#[test]
fn in_any_order_of_steps_there_is_one_holder_and_the_longest_waiting_is_next() {
    let server = RedisServer::start(Options::default());
    let backend = backend(&server.addr());
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let (taken, discarded) = (Cell::new(0), Cell::new(0));
    let steps = proptest::collection::vec(step(), 20..80);
    let outcome = TestRunner::new_with_rng(config, rng).run(&steps, |steps| {
        redis::cmd("FLUSHALL").exec(&mut server.client()).unwrap();
        let mut model = Model::new(&backend, server.client());
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
