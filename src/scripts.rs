//! The operations on a locked session: one Lua script, one round trip each.
//!
//! A script checks who holds the lock and acts in the same step, so nobody
//! can come between. The scripts explain themselves in `lua/`.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{ErrorKind, RedisResult, ServerErrorKind, Value};

use crate::connection::Link;
use crate::key::Keys;
use crate::lock::Token;
use crate::resp::garbage;
use crate::settings::Ttl;
use crate::store::data;

/// How long the next waiter has to claim a lock that is handed to it. A
/// waiter that dies meanwhile delays the others by no more than this.
pub const CLAIM_WINDOW: Duration = Duration::from_millis(500);

/// A script, and the digest that a server knows it by.
struct Script {
    code: &'static str,
    digest: String,
}

macro_rules! script {
    ($name:ident, $file:literal) => {
        static $name: LazyLock<Script> = LazyLock::new(|| {
            let code = concat!(include_str!("lua/common.lua"), include_str!($file));
            Script { code, digest: redis::Script::new(code).get_hash().to_owned() }
        });
    };
}

script!(ACQUIRE, "lua/acquire.lua");
script!(CLAIM, "lua/claim.lua");
script!(PEEK, "lua/peek.lua");
script!(WRITE, "lua/write.lua");
script!(TOUCH, "lua/touch.lua");
script!(DESTROY, "lua/destroy.lua");
script!(RELEASE, "lua/release.lua");
script!(RENEW, "lua/renew.lua");
script!(LEAVE, "lua/leave.lua");

/// Which sessions a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Any: a missing one is a new one.
    Any,
    /// One that exists.
    Known,
    /// One that does not exist.
    Unused,
}

impl Wanted {
    fn word(self) -> &'static [u8] {
        match self {
            Self::Any => b"any",
            Self::Known => b"known",
            Self::Unused => b"unused",
        }
    }
}

/// How a request stands to the queue for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It will not wait.
    Outside,
    /// It will wait from now on, if it has to.
    Joining {
        /// For how long at most.
        patience: Duration,
        /// How many requests may wait at a time; 0 is no limit.
        most: u32,
    },
    /// It waits, and is counted.
    Inside,
}

impl Standing {
    fn words(self) -> [Vec<u8>; 2] {
        match self {
            Self::Outside => [b"no".to_vec(), b"0".to_vec()],
            Self::Joining { patience, most } => [millis(patience), number(most)],
            Self::Inside => [b"counted".to_vec(), b"0".to_vec()],
        }
    }
}

/// What came of asking for a session.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is ours: its data, if it exists.
    Ours(Option<Vec<u8>>),
    /// Somebody has the lock.
    Busy {
        /// When it ends by itself; none where it never does.
        expires: Option<Duration>,
        /// The lock's value, which tells who that is.
        holder: Vec<u8>,
    },
    /// The session is not as wanted.
    Unwanted,
    /// As many wait as may.
    Crowded(Vec<u8>),
}

/// What came of an operation that needs the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is done.
    Done,
    /// We do not hold the lock: nothing was done.
    Lost,
    /// The session is gone; we hold the lock still.
    Gone,
}

/// Lock operations on a connection.
pub struct Scripts<'a>(pub &'a mut dyn Link);

impl Scripts<'_> {
    /// Takes the lock and reads. `refresh` starts the TTL again.
    pub fn acquire(
        &mut self,
        keys: &Keys,
        token: &Token,
        lease: Duration,
        refresh: Option<Ttl>,
        wanted: Wanted,
        standing: Standing,
    ) -> RedisResult<Turn> {
        let (lease, [patience, most]) = (millis(lease), standing.words());
        let args = [token.as_bytes(), &lease, &seconds(refresh), wanted.word(), &patience, &most];
        turn(self.run(&ACQUIRE, keys, &args)?)
    }

    /// Takes the lock with the baton that a waiter was given, and reads.
    pub fn claim(
        &mut self,
        keys: &Keys,
        token: &Token,
        lease: Duration,
        refresh: Option<Ttl>,
        baton: &[u8],
    ) -> RedisResult<Turn> {
        let args = [token.as_bytes(), &millis(lease), &seconds(refresh), baton];
        turn(self.run(&CLAIM, keys, &args)?)
    }

    /// Reads when nobody holds the lock, without taking it. A waiter shows
    /// the baton it was given, and passes it on.
    pub fn peek(
        &mut self,
        keys: &Keys,
        refresh: Option<Ttl>,
        wanted: Wanted,
        standing: Standing,
        baton: &[u8],
    ) -> RedisResult<Turn> {
        let (window, [patience, most]) = (millis(CLAIM_WINDOW), standing.words());
        let args = [&*seconds(refresh), wanted.word(), &patience, &most, &window, baton];
        turn(self.run(&PEEK, keys, &args)?)
    }

    /// Stores the session if we hold its lock, and lets go of that unless
    /// `keep`. `repeat` says that this was sent before and not answered.
    pub fn write(
        &mut self,
        keys: &Keys,
        token: &Token,
        ttl: Ttl,
        keep: bool,
        repeat: bool,
        bytes: &[u8],
    ) -> RedisResult<Kept> {
        let repeat: &[u8] = if repeat { b"1" } else { b"0" };
        let args = [token.as_bytes(), &seconds(Some(ttl)), &window(keep), repeat, bytes];
        kept(self.run(&WRITE, keys, &args)?)
    }

    /// Starts the TTL again (unless there is none to start) if we hold the
    /// lock, and lets go of that unless `keep`.
    pub fn touch(
        &mut self,
        keys: &Keys,
        token: &Token,
        ttl: Option<Ttl>,
        keep: bool,
    ) -> RedisResult<Kept> {
        kept(self.run(&TOUCH, keys, &[token.as_bytes(), &seconds(ttl), &window(keep)])?)
    }

    /// Removes the session, and lets go of the lock if we hold it.
    pub fn destroy(&mut self, keys: &Keys, token: &Token) -> RedisResult<Kept> {
        kept(self.run(&DESTROY, keys, &[token.as_bytes(), &millis(CLAIM_WINDOW)])?)
    }

    /// Lets go of the lock if we hold it.
    pub fn release(&mut self, keys: &Keys, token: &Token) -> RedisResult<Kept> {
        kept(self.run(&RELEASE, keys, &[token.as_bytes(), &millis(CLAIM_WINDOW)])?)
    }

    /// Lets the lock last for another `lease` if we hold it.
    pub fn renew(&mut self, keys: &Keys, token: &Token, lease: Duration) -> RedisResult<Kept> {
        kept(self.run(&RENEW, keys, &[token.as_bytes(), &millis(lease)])?)
    }

    /// Stops being counted as a waiter.
    pub fn leave(&mut self, keys: &Keys) -> RedisResult<Kept> {
        kept(self.run(&LEAVE, keys, &[])?)
    }

    fn run(&mut self, script: &Script, keys: &Keys, args: &[&[u8]]) -> RedisResult<Value> {
        let Keys { session, lock, baton, waiters } = keys;
        let mut command: Vec<&[u8]> =
            vec![b"EVALSHA", script.digest.as_bytes(), b"4", session, lock, baton, waiters];
        command.extend_from_slice(args);
        match self.0.call(&command) {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                // This server has not seen the script yet, or was restarted.
                if let Some([verb, code]) = command.first_chunk_mut() {
                    *verb = b"EVAL";
                    *code = script.code.as_bytes();
                }
                self.0.call(&command)
            }
            answer => answer,
        }
    }
}

fn turn(value: Value) -> RedisResult<Turn> {
    let Value::Array(parts) = value else { return Err(unexpected()) };
    let mut parts = parts.into_iter();
    let outcome = parts.next();
    let first = parts.next().unwrap_or(Value::Nil);
    let holder = parts.next().unwrap_or(Value::Nil);
    match (outcome, first) {
        (Some(Value::Int(1)), found) => Ok(Turn::Ours(data(found)?)),
        (Some(Value::Int(0)), Value::Int(ms)) => {
            // Redis says -1 for "never" and -2 for "gone meanwhile".
            let expires = (ms != -1).then(|| Duration::from_millis(ms.try_into().unwrap_or(0)));
            Ok(Turn::Busy { expires, holder: data(holder)?.unwrap_or_default() })
        }
        (Some(Value::Int(2)), _) => Ok(Turn::Unwanted),
        (Some(Value::Int(3)), _) => Ok(Turn::Crowded(data(holder)?.unwrap_or_default())),
        _ => Err(unexpected()),
    }
}

fn kept(value: Value) -> RedisResult<Kept> {
    match value {
        Value::Int(1) => Ok(Kept::Done),
        Value::Int(0) => Ok(Kept::Lost),
        Value::Int(2) => Ok(Kept::Gone),
        _ => Err(unexpected()),
    }
}

fn unexpected() -> redis::RedisError {
    garbage("an unexpected answer to a lock script")
}

fn millis(time: Duration) -> Vec<u8> {
    number(time.as_millis())
}

fn seconds(ttl: Option<Ttl>) -> Vec<u8> {
    number(ttl.map_or(0, Ttl::seconds))
}

fn window(keep: bool) -> Vec<u8> {
    millis(if keep { Duration::ZERO } else { CLAIM_WINDOW })
}

fn number(value: impl ToString) -> Vec<u8> {
    value.to_string().into_bytes()
}
