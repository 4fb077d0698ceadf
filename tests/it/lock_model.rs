//! The lock's scripts against a model of what they promise, in any order that
//! requests can ask, wait, lose their wait, claim, write, leave and die in.
//!
//! - `acquiring`, `holding`: what each step does to the model, and must be told
//! - `comparison`: what the server holds after each step
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod acquiring;
mod comparison;
mod holding;

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::support::locking::scene::{backend, location};
use crate::support::servers::{Options, RedisServer};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use redis_session::client::endpoint::PooledConnection;
use redis_session::key::Keys;
use redis_session::lock::scripts::{CLAIM_WINDOW, Scripts, Ticket};
use redis_session::lock::token::Token;
use redis_session::topology::{Backend, ReadRouting, SessionLocation};

const CASES: u32 = 300;
/// Requests that write, and after them those that only read.
const WRITERS: usize = 4;
const READERS: usize = 2;

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
    /// Loses the connection that it waits in the queue with.
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
    /// The baton that no one has popped; it may be out of date.
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
use check;

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
        let outcome = backend.run(location, ReadRouting::Primary, Duration::ZERO, |connection| {
            exchange(&mut Scripts(connection), &location.keys)
        });
        outcome.unwrap()
    }

    fn reads_only(who: usize) -> bool {
        who >= WRITERS
    }

    /// No one holds it, and no waiter was given it.
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

    fn ticket(&self, who: usize) -> (Option<Ticket>, bool) {
        let in_line = self.place_of(who).is_none_or(|place| !self.waiters[place].aside);
        (self.tickets[who].clone(), in_line)
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
