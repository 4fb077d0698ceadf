//! Requests for one locked session without PHP, step by step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{RedisResult, Value};
use redis_session::client::endpoint::Checkout;
use redis_session::config::settings::{LockPolicy, ReadOnly, Refresh, Settings, Ttl};
use redis_session::error::Error;
use redis_session::key::{Keys, Sid};
use redis_session::lock::acquire::{Outcome, Progress, Queue, Request};
use redis_session::lock::scripts::{Kept, Scripts, Standing, Storing, Ticket, Turn, Wanted};
use redis_session::lock::token::Token;
use redis_session::registry::Process;
use redis_session::session::handler::{Handler, Serves};
use redis_session::topology::{Access, Place, Target};

use super::store;
use crate::support::process::wait_until;
use crate::support::servers::{Options, RedisServer};

pub const SECOND: Duration = Duration::from_secs(1);
pub const LEASE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(60);
pub const SID: &str = "scene";

/// The servers of a save path without its `tcp://`.
pub fn target(save_path: &str) -> Arc<Target> {
    Process::current().target(&format!("tcp://{save_path}")).unwrap().0
}

pub fn place(target: &Target, sid: &str) -> Place {
    target.place(&Sid::new(sid.as_bytes()).unwrap()).unwrap()
}

pub fn ttl() -> Ttl {
    Ttl::from_maxlifetime(1440).0
}

/// One who will wait, however many do.
pub fn joining() -> Standing<'static> {
    Standing::Joining { lasts: PATIENCE, most: 0 }
}

/// One who waits, and has not had to queue up again.
pub fn inside(ticket: &Ticket) -> Standing<'_> {
    Standing::Inside { ticket, lasts: PATIENCE, in_line: true }
}

/// The baton that a BLPOP was given.
pub fn received(wait: &mut Checkout) -> Option<Vec<u8>> {
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

/// A request that looks again at a lock nobody hands over every 20 ms.
pub fn policy(patience: Duration) -> LockPolicy {
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

/// An open session of a request that has asked for nothing yet.
pub fn handler(save_path: &str, patience: Duration) -> Handler {
    open(&format!("tcp://{save_path}"), policy(patience))
}

/// One whose lock ends after `lease` if it is not renewed.
pub fn renewing(save_path: &str, lease: Duration) -> Handler {
    open(save_path, LockPolicy { lease, renewed: true, ..policy(PATIENCE) })
}

fn open(save_path: &str, policy: LockPolicy) -> Handler {
    let settings = Settings {
        early_refresh: false,
        ttl: ttl(),
        proxied: false,
        writes_unchanged: false,
        read_only: ReadOnly::No,
        failover: Duration::ZERO,
        wait_replicas: 0,
        lock: Some(policy),
    };
    Handler::open(Serves::Anything, save_path, settings).unwrap()
}

/// How a new session is stored; `keep` says that the lock is kept.
pub fn storing(keep: bool) -> Storing {
    Storing { ttl: ttl(), keep, repeat: false, known: false }
}

/// One session, and requests for it step by step.
pub struct Scene {
    pub target: Arc<Target>,
    pub server: RedisServer,
}

impl Scene {
    pub fn new() -> Self {
        let server = RedisServer::start(Options::default());
        Self { target: target(&server.addr()), server }
    }

    pub fn place(&self) -> Place {
        place(&self.target, SID)
    }

    pub fn keys(&self) -> Keys {
        self.place().keys
    }

    /// Its outcome, whatever that is.
    pub fn attempt<T>(
        &self,
        exchange: impl Fn(&mut Scripts<'_>, &Keys) -> RedisResult<T>,
    ) -> Result<T, Error> {
        let place = self.place();
        self.target.run(&place, Access::Primary, Duration::ZERO, |link| {
            exchange(&mut Scripts(link), &place.keys)
        })
    }

    pub fn run<T>(&self, exchange: impl Fn(&mut Scripts<'_>, &Keys) -> RedisResult<T>) -> T {
        self.attempt(exchange).unwrap()
    }

    pub fn acquire(&self, wanted: Wanted, standing: Standing<'_>) -> (Token, Turn) {
        let token = Token::new("").unwrap();
        let turn = self.run(|s, keys| s.acquire(keys, &token, LEASE, None, wanted, standing));
        (token, turn)
    }

    #[track_caller]
    pub fn hold(&self) -> Token {
        let (token, turn) = self.acquire(Wanted::Any, joining());
        assert!(matches!(turn, Turn::Ours(_)), "{turn:?}");
        token
    }

    /// Is told that it is busy, and so is counted.
    #[track_caller]
    pub fn join(&self, wanted: Wanted, standing: Standing<'_>) -> Ticket {
        match self.acquire(wanted, standing).1 {
            Turn::Busy { ticket: Some(ticket), .. } => ticket,
            turn => panic!("{turn:?}"),
        }
    }

    /// Stands in the server's queue.
    #[track_caller]
    pub fn block(&self) -> Checkout {
        let before = self.blocked();
        let place = self.place();
        let command: [&[u8]; 3] = [b"BLPOP", &place.keys.baton, b"60"];
        let wait = self.target.send(&place, Duration::ZERO, &command).unwrap();
        wait_until("it is blocked", || self.blocked() == before + 1);
        wait
    }

    pub fn blocked(&self) -> usize {
        let info: String =
            redis::cmd("INFO").arg("clients").query(&mut self.server.client()).unwrap();
        let line = info.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
        line.unwrap().parse().unwrap()
    }

    #[track_caller]
    pub fn release(&self, token: &Token) {
        assert_eq!(self.run(|s, keys| s.release(keys, token)), Kept::Done);
    }

    /// How many wait, if the server knows of any.
    pub fn counted(&self) -> Option<i64> {
        let waiters = self.keys().waiters;
        let count = redis::cmd("ZCARD").arg(waiters).query(&mut self.server.client()).unwrap();
        Some(count).filter(|count| *count > 0)
    }

    /// What is stored of the session.
    pub fn stored(&self) -> Option<Vec<u8>> {
        redis::cmd("GET").arg(self.keys().session).query(&mut self.server.client()).unwrap()
    }

    pub fn store(&self, data: &str) {
        store(&self.server, SID, data);
    }

    pub fn queue(&self, wanted: Wanted) -> Queue {
        queue(self.place(), wanted)
    }

    /// A new request goes all the way.
    #[track_caller]
    pub fn wait(&self, wanted: Wanted, patience: Duration) -> (Result<Outcome, Error>, Duration) {
        wait_at(&self.target, &mut self.queue(wanted), patience)
    }
}

/// A request that has not asked yet.
pub fn queue(place: Place, wanted: Wanted) -> Queue {
    Queue::new(Request {
        place,
        token: Token::new("").unwrap(),
        wanted,
        read_only: ReadOnly::No,
        refresh: Refresh::Never,
        failover: Duration::ZERO,
        replicas: 0,
    })
}

/// Goes all the way, for at most 20 seconds; how it ended, and after how long.
#[track_caller]
pub fn wait_at(
    target: &Target,
    queue: &mut Queue,
    patience: Duration,
) -> (Result<Outcome, Error>, Duration) {
    let start = Instant::now();
    while start.elapsed() < 20 * SECOND {
        match queue.step(target, &policy(patience)) {
            Ok(Progress::Waiting) => {}
            Ok(Progress::Done(outcome)) => return (Ok(outcome), start.elapsed()),
            Err(error) => return (Err(error), start.elapsed()),
        }
    }
    panic!("still waiting after 20 s, with a patience of {patience:?}");
}
