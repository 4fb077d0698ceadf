//! Requests for one locked session without PHP, step by step.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use redis::{RedisResult, Value};
use redis_session::client::endpoint::PooledConnection;
use redis_session::config::settings::{LockPolicy, ReadOnly, Refresh, Settings, Ttl};
use redis_session::error::Error;
use redis_session::key::{Keys, Sid};
use redis_session::lock::acquire::{Acquired, Acquisition, Request};
use redis_session::lock::scripts::{
    AcquireReply, Existence, LockedOutcome, Scripts, Ticket, WaiterState, WriteOptions,
};
use redis_session::lock::token::Token;
use redis_session::registry::locks_of;
use redis_session::session::handler::{Handler, HandlerKind};
use redis_session::topology::{Backend, ReadRouting, SessionLocation};

use super::store;
use crate::support::process::wait_until;
use crate::support::servers::{Options, RedisServer};

pub const SECOND: Duration = Duration::from_secs(1);
pub const LEASE: Duration = Duration::from_secs(60);
const WAITER_LIFETIME: Duration = Duration::from_secs(60);
pub const SID: &str = "scene";

/// The servers of a save path without its `tcp://`.
pub fn backend(save_path: &str) -> Arc<Backend> {
    locks_of(&format!("tcp://{save_path}")).unwrap().0.backend.clone()
}

/// An id that is a valid one.
pub fn id(sid: &str) -> Sid<'_> {
    Sid::new(sid.as_bytes()).unwrap()
}

pub fn location(backend: &Backend, sid: &str) -> SessionLocation {
    backend.location(id(sid)).unwrap()
}

pub fn ttl() -> Ttl {
    Ttl::from_maxlifetime(1440).0
}

/// A request that will wait, however many do.
pub fn joining() -> WaiterState<'static> {
    WaiterState::Joining { expires_after: WAITER_LIFETIME, max_waiters: 0 }
}

/// A request that waits, and has not had to queue up again.
pub fn inside(ticket: &Ticket) -> WaiterState<'_> {
    WaiterState::Waiting { ticket, expires_after: WAITER_LIFETIME, in_line: true }
}

/// The baton in BLPOP's answer.
pub fn received(wait: &mut PooledConnection) -> Option<Vec<u8>> {
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

/// Looks every 20 ms at a lock that no one hands over.
pub fn policy(lock_wait: Duration) -> LockPolicy {
    LockPolicy {
        lease: LEASE,
        renewed: false,
        lock_wait: Some(lock_wait),
        poll: Duration::from_millis(20),
        max_waiters: 0,
        failure_readonly: false,
        script: String::new(),
    }
}

/// An open session of a request that has asked for nothing yet.
pub fn handler(save_path: &str, lock_wait: Duration) -> Handler {
    open(&format!("tcp://{save_path}"), policy(lock_wait))
}

/// The same, with a lock that ends after `lease` if it is not renewed.
pub fn renewing(save_path: &str, lease: Duration) -> Handler {
    open(save_path, LockPolicy { lease, renewed: true, ..policy(WAITER_LIFETIME) })
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
        compression: None,
        encryption: None,
        memory: usize::MAX,
        lock: Some(policy),
    };
    Handler::open(HandlerKind::Anything, save_path, settings, locks_of).unwrap()
}

/// How a new session is stored; `keep` says that the lock is kept.
pub fn storing(keep: bool) -> WriteOptions {
    WriteOptions { ttl: ttl(), keep_lock: keep, is_repeat: false, must_exist: false }
}

/// One session, and requests for it step by step.
pub struct Scene {
    pub backend: Arc<Backend>,
    pub server: RedisServer,
}

impl Scene {
    pub fn new() -> Self {
        let server = RedisServer::start(Options::default());
        Self { backend: backend(&server.addr()), server }
    }

    pub fn location(&self) -> SessionLocation {
        location(&self.backend, SID)
    }

    pub fn keys(&self) -> Keys {
        Keys::clone(&self.location().keys)
    }

    /// What comes of the exchange, errors too.
    pub fn attempt<T>(
        &self,
        exchange: impl Fn(&mut Scripts<'_>, &Keys) -> RedisResult<T>,
    ) -> Result<T, Error> {
        let location = self.location();
        self.backend.run(&location, ReadRouting::Primary, Duration::ZERO, |connection| {
            exchange(&mut Scripts(connection), &location.keys)
        })
    }

    pub fn run<T>(&self, exchange: impl Fn(&mut Scripts<'_>, &Keys) -> RedisResult<T>) -> T {
        self.attempt(exchange).unwrap()
    }

    pub fn acquire(&self, wanted: Existence, waiter: WaiterState<'_>) -> (Token, AcquireReply) {
        let token = Token::new("").unwrap();
        let reply = self.run(|s, keys| s.acquire(keys, &token, LEASE, None, wanted, waiter));
        (token, reply)
    }

    #[track_caller]
    pub fn hold(&self) -> Token {
        let (token, reply) = self.acquire(Existence::Any, joining());
        assert!(matches!(reply, AcquireReply::Acquired(_)), "{reply:?}");
        token
    }

    /// A request that is told that the session is busy, and so is counted.
    #[track_caller]
    pub fn join(&self, wanted: Existence, waiter: WaiterState<'_>) -> Ticket {
        match self.acquire(wanted, waiter).1 {
            AcquireReply::Busy { ticket: Some(ticket), .. } => ticket,
            reply => panic!("{reply:?}"),
        }
    }

    /// Waits in the server's queue for the baton.
    #[track_caller]
    pub fn block(&self) -> PooledConnection {
        let before = self.blocked();
        let location = self.location();
        let command: [&[u8]; 3] = [b"BLPOP", &location.keys.baton, b"60"];
        let wait = self.backend.send(&location, Duration::ZERO, &command).unwrap();
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
        assert_eq!(self.run(|s, keys| s.release(keys, token)), LockedOutcome::Done);
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

    pub fn acquisition(&self, wanted: Existence) -> Acquisition {
        acquisition(self.location(), wanted)
    }

    /// A new request, until it has the session or gives up.
    #[track_caller]
    pub fn wait(
        &self,
        wanted: Existence,
        lock_wait: Duration,
    ) -> (Result<Acquired, Error>, Duration) {
        wait_at(&self.backend, &mut self.acquisition(wanted), lock_wait)
    }
}

/// A request that has not asked yet.
pub fn acquisition(location: SessionLocation, wanted: Existence) -> Acquisition {
    Acquisition::new(Request {
        location,
        token: Token::new("").unwrap(),
        wanted,
        read_only: ReadOnly::No,
        refresh: Refresh::Never,
        failover: Duration::ZERO,
        replicas: 0,
    })
}

/// Takes step after step, for at most 20 seconds; how it ended, and after how long.
#[track_caller]
pub fn wait_at(
    backend: &Backend,
    acquisition: &mut Acquisition,
    lock_wait: Duration,
) -> (Result<Acquired, Error>, Duration) {
    let start = Instant::now();
    while start.elapsed() < 20 * SECOND {
        match acquisition.step(backend, &policy(lock_wait)) {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(outcome)) => return (Ok(outcome), start.elapsed()),
            Err(error) => return (Err(error), start.elapsed()),
        }
    }
    panic!("still waiting after 20 s, with a lock_wait of {lock_wait:?}");
}
