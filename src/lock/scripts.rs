//! The operations on a locked session: one Lua script, one round trip each.
//!
//! A script checks who holds the lock and acts in the same step, so no one can
//! interfere. The comments of each script, in `lua/`, explain it.
//!
//! | module | owns |
//! |---|---|
//! | `waiting` | the operations of a request that wants the lock |
//! | `holding` | the operations of a request that holds it |
//! | `waiter` | how a waiting request is recorded |
//! | `replies`, `args` | what is answered, how arguments are written |
//!
//! Session data do not pass through Lua, where each byte is copied several
//! times. A GET in the same pipeline, after the script that took the lock, reads
//! them; a SETEX in the same pipeline writes a large session to a key of the
//! request's own, which the script then renames.

mod args;
mod holding;
mod replies;
mod waiter;
mod waiting;

use std::sync::LazyLock;

use redis::{RedisResult, ServerErrorKind, Value, make_extension_error};

use crate::client::connection_like::ConnectionLike;
use crate::client::resp::bulk_or_nil;
use crate::error::ends_connection;
use crate::key::Keys;
use crate::lock::token::Token;
use args::number;
use replies::{acquire_reply, unexpected};

pub use args::{CLAIM_WINDOW, WriteOptions};
pub use replies::{AcquireReply, LockedOutcome};
pub use waiter::{Existence, ReceivedBaton, Ticket, WaiterState};

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
script!(HEARTBEAT, "lua/heartbeat.lua");

/// Lock operations on a connection. Each sends a script and blocks until the
/// answer is there; each may be sent twice.
pub struct Scripts<'a>(pub &'a mut dyn ConnectionLike);

impl Scripts<'_> {
    fn run(&mut self, script: &Script, keys: &Keys, args: &[&[u8]]) -> RedisResult<Value> {
        last_reply(self.pipeline(None, script, keys, &[], args, None)?)
    }

    /// Runs a script that may take the lock for `token`, and then reads, in one
    /// round trip. Releases the lock if the session cannot be read.
    fn run_and_get(
        &mut self,
        script: &Script,
        keys: &Keys,
        args: &[&[u8]],
        token: Option<&Token>,
    ) -> RedisResult<AcquireReply> {
        let get: &[&[u8]] = &[b"GET", &keys.session];
        let answers = self.pipeline(None, script, keys, &[], args, Some(get))?;
        let [outcome, found] = <[Value; 2]>::try_from(answers).map_err(|_| unexpected())?;
        let reply =
            acquire_reply(outcome.extract_error()?, found.extract_error().and_then(bulk_or_nil));
        if let (Err(error), Some(token)) = (&reply, token)
            && !ends_connection(error)
        {
            // The error that is reported is the read's.
            let _ = self.release(keys, token);
        }
        reply
    }

    /// Sends `before`, a script and `after` as one pipeline. The script gets the
    /// session's keys and `more` keys. Errors that the server answers are values
    /// here.
    fn pipeline(
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
            // Where several keys are declared, none may be missing.
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
            // This server has not seen the script yet, or was restarted. The
            // command before it has been executed.
            if let Some([verb, code]) = command.first_chunk_mut() {
                *verb = b"EVAL";
                *code = script.code.as_bytes();
            }
            let commands: Vec<&[&[u8]]> =
                std::iter::once(command.as_slice()).chain(after).collect();
            answers = self.0.call_all(&commands)?;
        }
        if answers.iter().any(lacks_keys) {
            return Err(make_extension_error(
                "TRYAGAIN".to_owned(),
                Some("the session is being moved between two nodes of the cluster".to_owned()),
            ));
        }
        Ok(answers)
    }
}

/// Whether a node lacks some of a script's keys, as their slot is moving. The
/// topology finds out which keys are where.
fn lacks_keys(answer: &Value) -> bool {
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
fn last_reply(answers: Vec<Value>) -> RedisResult<Value> {
    answers.into_iter().try_fold(Value::Nil, |_, answer| answer.extract_error())
}
