//! The operations on a locked session: one Lua script, one round trip each.
//!
//! A script checks who holds the lock and acts in the same step, so nobody
//! can come between. The scripts explain themselves in `lua/`.
//!
//! Session data do not pass through Lua, where each byte is copied several
//! times: they are read by a GET in the same flight, which finds the lock
//! taken; and a large session is written by a SETEX in the same flight to a
//! key of the request's own, which the script then gives its name.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{RedisResult, ServerErrorKind, Value, make_extension_error};

use crate::client::link::ConnectionLike;
use crate::client::resp::protocol_error;
use crate::config::settings::{Refresh, Ttl};
use crate::error::ends_connection;
use crate::key::Keys;
use crate::lock::token::Token;
use crate::session::store::data;

/// How long the next waiter has to claim a lock that is handed to it. If it
/// dies just then, this delays newcomers, and those who wait until they look
/// again.
pub const CLAIM_WINDOW: Duration = Duration::from_millis(500);

/// From this size on, in bytes, a session is written beside Lua.
const STAGED_SIZE: usize = 2 << 10;
/// How long, in seconds, a staged session stays if its script never comes.
const STAGED_SECONDS: &[u8] = b"60";

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
script!(WRITE_STAGED, "lua/write_staged.lua");
script!(TOUCH, "lua/touch.lua");
script!(DESTROY, "lua/destroy.lua");
script!(RELEASE, "lua/release.lua");
script!(RECLAIM, "lua/reclaim.lua");
script!(RENEW, "lua/renew.lua");
script!(LEAVE, "lua/leave.lua");
script!(LOOK, "lua/look.lua");

/// Which sessions a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence {
    /// Any: a missing one is a new one.
    Any,
    /// One that exists.
    Known,
    /// One that does not exist.
    Unused,
}

impl Existence {
    fn word(self) -> &'static [u8] {
        match self {
            Self::Any => b"any",
            Self::Known => b"known",
            Self::Unused => b"unused",
        }
    }
}

/// Names one who waits, and tells its place: whoever came later has a greater
/// one. It stays with a request wherever that queues up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket(Vec<u8>);

/// How a request stands to the queue for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaiterState<'a> {
    /// It will not wait.
    NotWaiting,
    /// It will wait from now on, if it has to.
    Joining {
        /// After how long without a sign of life it is forgotten.
        lasts: Duration,
        /// How many requests may wait at a time; 0 is no limit.
        most: u32,
    },
    /// It waits.
    Waiting {
        /// What it was given when it joined.
        ticket: &'a Ticket,
        /// As for one who joins.
        lasts: Duration,
        /// Whether its BLPOP stands in the server's queue where the ticket says.
        in_line: bool,
    },
}

/// A baton, and who was given it.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedBaton<'a> {
    /// How that one stands to the queue.
    pub waiter: WaiterState<'a>,
    /// What BLPOP gave.
    pub baton: &'a [u8],
}

impl WaiterState<'_> {
    /// Ticket, how long it lasts, place, most waiters.
    fn words(self) -> [Vec<u8>; 4] {
        let place = |in_line| if in_line { b"line".to_vec() } else { b"aside".to_vec() };
        match self {
            Self::NotWaiting => [Vec::new(), number(0), place(true), number(0)],
            Self::Joining { lasts, most } => [Vec::new(), millis(lasts), place(true), number(most)],
            Self::Waiting { ticket, lasts, in_line } => {
                [ticket.0.clone(), millis(lasts), place(in_line), number(0)]
            }
        }
    }
}

/// What came of asking for a session.
#[derive(Debug, PartialEq, Eq)]
pub enum AcquireReply {
    /// It is ours: its data, if it exists.
    Acquired(Option<Vec<u8>>),
    /// Somebody has the lock.
    Busy {
        /// When it ends by itself; none where it never does.
        expires: Option<Duration>,
        /// The lock's value, which tells who that is.
        holder: Vec<u8>,
        /// Ours in the queue, unless we will not wait.
        ticket: Option<Ticket>,
    },
    /// Nobody is blocked in the server's queue: our BLPOP is lost.
    NotBlocked,
    /// The session is not as wanted.
    ExistenceMismatch,
    /// As many wait as may.
    QueueFull(Vec<u8>),
}

/// What came of an operation that needs the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockedOutcome {
    /// It is done.
    Done,
    /// We do not hold the lock: nothing was done.
    Lost,
    /// The session, which had to be there, is gone: it stays away. The lock
    /// is where it would be if this had been done.
    Gone,
}

/// How a session is stored.
#[derive(Debug, Clone, Copy)]
pub struct WriteOptions {
    /// For how long.
    pub ttl: Ttl,
    /// Whether the lock is kept.
    pub keep_lock: bool,
    /// Whether this was sent before and not answered.
    pub is_repeat: bool,
    /// Whether the session must exist: it did when it was read, so one that is
    /// gone was destroyed, or its time to live is over.
    pub must_exist: bool,
}

/// Lock operations on a connection.
pub struct Scripts<'a>(pub &'a mut dyn ConnectionLike);

impl Scripts<'_> {
    /// Takes the lock and reads. `refresh` starts the TTL again.
    pub fn acquire(
        &mut self,
        keys: &Keys,
        token: &Token,
        lease: Duration,
        refresh: impl Into<Refresh>,
        wanted: Existence,
        standing: WaiterState<'_>,
    ) -> RedisResult<AcquireReply> {
        let (lease, refresh, window) = (millis(lease), refreshing(refresh), millis(CLAIM_WINDOW));
        let [ticket, lasts, location, most] = &standing.words();
        let token_bytes = token.as_bytes();
        let args: [&[u8]; 9] =
            [token_bytes, &lease, &refresh, wanted.word(), &window, ticket, lasts, location, most];
        self.run_and_get(&ACQUIRE, keys, &args, Some(token))
    }

    /// Takes the lock with the baton that a waiter was given, and reads.
    pub fn claim(
        &mut self,
        keys: &Keys,
        token: &Token,
        lease: Duration,
        refresh: impl Into<Refresh>,
        wanted: Existence,
        given: ReceivedBaton<'_>,
    ) -> RedisResult<AcquireReply> {
        let ReceivedBaton { waiter: standing, baton } = given;
        let (lease, refresh, window) = (millis(lease), refreshing(refresh), millis(CLAIM_WINDOW));
        let [ticket, lasts, ..] = &standing.words();
        let token_bytes = token.as_bytes();
        let args: [&[u8]; 8] =
            [token_bytes, &lease, &refresh, wanted.word(), &window, ticket, lasts, baton];
        self.run_and_get(&CLAIM, keys, &args, Some(token))
    }

    /// Reads when nobody holds the lock, without taking it. A waiter shows
    /// the baton it was given, and passes it on.
    pub fn peek(
        &mut self,
        keys: &Keys,
        token: &Token,
        refresh: impl Into<Refresh>,
        wanted: Existence,
        standing: WaiterState<'_>,
        baton: &[u8],
    ) -> RedisResult<AcquireReply> {
        let (refresh, window) = (refreshing(refresh), millis(CLAIM_WINDOW));
        let [ticket, lasts, location, most] = &standing.words();
        let token = token.as_bytes();
        let args: [&[u8]; 9] =
            [token, &refresh, wanted.word(), &window, ticket, lasts, location, most, baton];
        self.run_and_get(&PEEK, keys, &args, None)
    }

    /// Shows that a waiter lives while its BLPOP stands in the server's queue,
    /// and offers a lock that nobody holds to the longest waiting.
    pub fn look(
        &mut self,
        keys: &Keys,
        token: &Token,
        standing: WaiterState<'_>,
    ) -> RedisResult<AcquireReply> {
        let [ticket, lasts, location, _] = &standing.words();
        let window = millis(CLAIM_WINDOW);
        let args: [&[u8]; 5] = [token.as_bytes(), &window, ticket, lasts, location];
        turn(self.run(&LOOK, keys, &args)?, Ok(None))
    }

    /// Stores the session if we hold its lock, and lets go of that unless it
    /// is to be kept.
    pub fn write(
        &mut self,
        keys: &Keys,
        token: &Token,
        WriteOptions { ttl, keep_lock, is_repeat, must_exist }: WriteOptions,
        bytes: &[u8],
    ) -> RedisResult<LockedOutcome> {
        let (ttl, window) = (seconds(Some(ttl)), window(keep_lock));
        let (repeat, known) = (flag(is_repeat), flag(must_exist));
        // Where keys may be missing, none of them can be renamed.
        if bytes.len() < STAGED_SIZE || self.0.is_asking() {
            let args = [token.as_bytes(), &ttl, &window, repeat, known, bytes];
            return kept(self.run(&WRITE, keys, &args)?);
        }
        let staged = keys.staged(token.random());
        let stage: &[&[u8]] = &[b"SETEX", &staged, STAGED_SECONDS, bytes];
        let args = [token.as_bytes(), &ttl, &window, repeat, known];
        let answers = self.flight(Some(stage), &WRITE_STAGED, keys, &[&staged], &args, None)?;
        let outcome = last(answers).and_then(kept);
        if outcome.as_ref().is_err_and(|error| !ends_connection(error)) {
            let _ = self.0.call(&[b"DEL", &staged]); // the error that is told is the first
        }
        outcome
    }

    /// Starts the TTL again (unless there is none to start) if we hold the
    /// lock, and lets go of that unless `keep`.
    pub fn touch(
        &mut self,
        keys: &Keys,
        token: &Token,
        ttl: Option<Ttl>,
        keep: bool,
    ) -> RedisResult<LockedOutcome> {
        kept(self.run(&TOUCH, keys, &[token.as_bytes(), &seconds(ttl), &window(keep)])?)
    }

    /// Removes the session, and lets go of the lock if we hold it.
    pub fn destroy(&mut self, keys: &Keys, token: &Token) -> RedisResult<LockedOutcome> {
        kept(self.run(&DESTROY, keys, &[token.as_bytes(), &millis(CLAIM_WINDOW)])?)
    }

    /// Lets go of the lock if we hold it.
    pub fn release(&mut self, keys: &Keys, token: &Token) -> RedisResult<LockedOutcome> {
        kept(self.run(&RELEASE, keys, &[token.as_bytes(), &millis(CLAIM_WINDOW)])?)
    }

    /// Lets the lock last for another `lease`, if there is one, and the
    /// session not end while we hold it: its TTL starts again when half of it
    /// is over.
    pub fn renew(
        &mut self,
        keys: &Keys,
        token: &Token,
        lease: Option<Duration>,
        ttl: Ttl,
    ) -> RedisResult<LockedOutcome> {
        let lease = millis(lease.unwrap_or_default());
        let refresh = Refresh::Below(ttl, Duration::from(ttl) / 2);
        let args = [token.as_bytes(), &lease, &refreshing(refresh)];
        kept(self.run(&RENEW, keys, &args)?)
    }

    /// Takes a lock again that is gone, if nobody has it and the session is as
    /// it was `before`, when it was read; none is a session that did not exist.
    pub fn reclaim(
        &mut self,
        keys: &Keys,
        token: &Token,
        lease: Duration,
        before: Option<&[u8]>,
    ) -> RedisResult<LockedOutcome> {
        let existed = flag(before.is_some());
        let args = [token.as_bytes(), &millis(lease), existed, before.unwrap_or_default()];
        kept(self.run(&RECLAIM, keys, &args)?)
    }

    /// Waits no longer. What was on its way to us is offered to the next.
    pub fn leave(&mut self, keys: &Keys, ticket: &Ticket) -> RedisResult<LockedOutcome> {
        kept(self.run(&LEAVE, keys, &[&ticket.0])?)
    }

    fn run(&mut self, script: &Script, keys: &Keys, args: &[&[u8]]) -> RedisResult<Value> {
        last(self.flight(None, script, keys, &[], args, None)?)
    }

    /// Runs a script that may take the lock for `token`, and reads right
    /// behind it. A lock on what cannot be read is let go of.
    fn run_and_get(
        &mut self,
        script: &Script,
        keys: &Keys,
        args: &[&[u8]],
        token: Option<&Token>,
    ) -> RedisResult<AcquireReply> {
        let get: &[&[u8]] = &[b"GET", &keys.session];
        let answers = self.flight(None, script, keys, &[], args, Some(get))?;
        let [outcome, found] = <[Value; 2]>::try_from(answers).map_err(|_| unexpected())?;
        let turn = turn(outcome.extract_error()?, found.extract_error().and_then(data));
        if let (Err(error), Some(token)) = (&turn, token)
            && !ends_connection(error)
        {
            // The error that is told is that of the read.
            let _ = self.release(keys, token);
        }
        turn
    }

    /// Sends a script with what goes `before` and `after` it, in one flight.
    /// The script gets the session's keys, and `more` of them. Errors that the
    /// server answers are values here.
    fn flight(
        &mut self,
        before: Option<&[&[u8]]>,
        script: &Script,
        keys: &Keys,
        more: &[&[u8]],
        args: &[&[u8]],
        after: Option<&[&[u8]]>,
    ) -> RedisResult<Vec<Value>> {
        let Keys { session, lock, baton, waiters } = keys;
        let mut command: Vec<&[u8]> = vec![b"EVALSHA", script.digest.as_bytes()];
        let count = number(4 + more.len());
        if self.0.is_asking() {
            // Of several keys that are declared none may be missing.
            command.extend([b"1", session.as_slice()]);
            command.extend(args);
            command.extend([lock.as_slice(), baton, waiters]);
        } else {
            command.extend([count.as_slice(), session, lock, baton, waiters]);
            command.extend(more.iter().chain(args));
        }
        let commands: Vec<&[&[u8]]> =
            before.into_iter().chain([command.as_slice()]).chain(after).collect();
        let mut answers = self.0.call_all(&commands)?;
        let refused = before.is_some() && matches!(answers.first(), Some(Value::ServerError(_)));
        if !refused && answers.iter().any(is_unknown_script) {
            // This server has not seen the script yet, or was restarted. What
            // went before it has been done.
            if let Some([verb, code]) = command.first_chunk_mut() {
                *verb = b"EVAL";
                *code = script.code.as_bytes();
            }
            let commands: Vec<&[&[u8]]> =
                std::iter::once(command.as_slice()).chain(after).collect();
            answers = self.0.call_all(&commands)?;
        }
        if answers.iter().any(is_between_nodes) {
            return Err(make_extension_error(
                "TRYAGAIN".to_owned(),
                Some("the session is being moved between two nodes of the cluster".to_owned()),
            ));
        }
        Ok(answers)
    }
}

/// Whether a node has not got all keys of a script, as their slot moves. It
/// may have some: which ones are where is the cluster's business to find out.
fn is_between_nodes(answer: &Value) -> bool {
    let Value::ServerError(error) = answer else { return false };
    error.code() == "ASK" || error.details().is_some_and(|text| text.contains("a non local key"))
}

fn is_unknown_script(answer: &Value) -> bool {
    let Value::ServerError(error) = answer else { return false };
    // Where there is no EVALSHA, or we may not use it, there may be EVAL.
    let said = error.details().unwrap_or_default().to_ascii_lowercase();
    error.kind() == Some(ServerErrorKind::NoScript)
        || said.contains("evalsha") && (error.code() == "NOPERM" || said.contains("unknown"))
}

/// The last answer, unless any of them is an error.
fn last(answers: Vec<Value>) -> RedisResult<Value> {
    answers.into_iter().try_fold(Value::Nil, |_, answer| answer.extract_error())
}

fn turn(outcome: Value, found: RedisResult<Option<Vec<u8>>>) -> RedisResult<AcquireReply> {
    let Value::Array(parts) = outcome else { return Err(unexpected()) };
    let mut parts = parts.into_iter();
    let mut part = || parts.next().unwrap_or(Value::Nil);
    match (part(), part(), part(), part()) {
        (Value::Int(1), ..) => Ok(AcquireReply::Acquired(found?)),
        (Value::Int(0), Value::Int(ms), holder, ticket) => {
            // Redis says -1 for "never" and -2 for "gone meanwhile".
            let expires = (ms != -1).then(|| Duration::from_millis(ms.try_into().unwrap_or(0)));
            let ticket = data(ticket)?.filter(|ticket| !ticket.is_empty()).map(Ticket);
            Ok(AcquireReply::Busy { expires, holder: data(holder)?.unwrap_or_default(), ticket })
        }
        (Value::Int(2), ..) => Ok(AcquireReply::ExistenceMismatch),
        (Value::Int(4), ..) => Ok(AcquireReply::NotBlocked),
        (Value::Int(3), _, holder, _) => {
            Ok(AcquireReply::QueueFull(data(holder)?.unwrap_or_default()))
        }
        _ => Err(unexpected()),
    }
}

fn kept(value: Value) -> RedisResult<LockedOutcome> {
    match value {
        Value::Int(1) => Ok(LockedOutcome::Done),
        Value::Int(0) => Ok(LockedOutcome::Lost),
        Value::Int(2) => Ok(LockedOutcome::Gone),
        _ => Err(unexpected()),
    }
}

fn unexpected() -> redis::RedisError {
    protocol_error("an unexpected answer to a lock script")
}

fn millis(time: Duration) -> Vec<u8> {
    number(time.as_millis())
}

fn seconds(ttl: Option<Ttl>) -> Vec<u8> {
    number(ttl.map_or(0, Ttl::seconds))
}

/// As `refresh` in `lua/common.lua` takes it.
fn refreshing(refresh: impl Into<Refresh>) -> Vec<u8> {
    number(match refresh.into() {
        Refresh::Never => "0".to_owned(),
        Refresh::Always(ttl) => ttl.seconds().to_string(),
        Refresh::Below(ttl, short) => format!("{}<{}", ttl.seconds(), short.as_millis()),
    })
}

fn flag(value: bool) -> &'static [u8] {
    if value { b"1" } else { b"0" }
}

fn window(keep: bool) -> Vec<u8> {
    millis(if keep { Duration::ZERO } else { CLAIM_WINDOW })
}

fn number(value: impl ToString) -> Vec<u8> {
    value.to_string().into_bytes()
}
