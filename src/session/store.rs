//! What is kept in Redis: typed operations on one session's keys.
//!
//! Each is one round trip. Knows no pool, no retry and no PHP.

use std::time::Duration;

use redis::{RedisResult, ServerErrorKind, Value};

use crate::client::connection_like::ConnectionLike;
use crate::client::resp::{bulk_or_nil, protocol_error};
use crate::config::settings::Ttl;
use crate::lock::scripts::LockedOutcome;

const REPLACE_UNCHANGED: &[u8] = b"\
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
    redis.call('SETEX', KEYS[1], ARGV[3], ARGV[2]) \
    return 1";

/// What is left of a session's time to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// So much.
    Time(Duration),
    /// It has no end; or there is no such session.
    Endless,
    /// The server does not tell us.
    Hidden,
}

/// Operations on a connection.
pub struct Store<'a>(pub &'a mut dyn ConnectionLike);

impl Store<'_> {
    /// The session's bytes, or none where there is no such session.
    pub fn get(&mut self, key: &[u8]) -> RedisResult<Option<Vec<u8>>> {
        bulk_or_nil(self.call(&[b"GET", key])?)
    }

    /// The session's bytes; its TTL starts again. Two commands in one round trip,
    /// as GETEX is younger than the oldest server we serve.
    pub fn get_and_touch(&mut self, key: &[u8], ttl: Ttl) -> RedisResult<Option<Vec<u8>>> {
        let (found, touched) = self.get_then_touch(key, ttl)?;
        touched.extract_error()?;
        bulk_or_nil(found.extract_error()?)
    }

    fn get_then_touch(&mut self, key: &[u8], ttl: Ttl) -> RedisResult<(Value, Value)> {
        let seconds = ttl.seconds().to_string();
        let get: &[&[u8]] = &[b"GET", key];
        let expire: &[&[u8]] = &[b"EXPIRE", key, seconds.as_bytes()];
        let [found, touched] = <[Value; 2]>::try_from(self.0.call_all(&[get, expire])?)
            .map_err(|_| protocol_error("too few answers"))?;
        Ok((found, touched))
    }

    /// As [`Store::get_and_touch`], but a server that does not permit to start
    /// the TTL again is no failure.
    pub fn get_and_try_touch(&mut self, key: &[u8], ttl: Ttl) -> RedisResult<Option<Vec<u8>>> {
        let (found, touched) = self.get_then_touch(key, ttl)?;
        match touched {
            Value::ServerError(error) if is_refused(&error) => {}
            touched => drop(touched.extract_error()?),
        }
        bulk_or_nil(found.extract_error()?)
    }

    /// The session's bytes, and what is left of its TTL, in one round trip.
    pub fn get_and_look(&mut self, key: &[u8]) -> RedisResult<(Option<Vec<u8>>, Left)> {
        let (get, pttl): (&[&[u8]], &[&[u8]]) = (&[b"GET", key], &[b"PTTL", key]);
        let [found, left] = <[Value; 2]>::try_from(self.0.call_all(&[get, pttl])?)
            .map_err(|_| protocol_error("too few answers"))?;
        let left = match left {
            Value::Int(left) => u64::try_from(left)
                .map_or(Left::Endless, |ms| Left::Time(Duration::from_millis(ms))),
            Value::ServerError(error) if is_refused(&error) => Left::Hidden,
            _ => Left::Endless,
        };
        Ok((bulk_or_nil(found.extract_error()?)?, left))
    }

    /// Stores the session's bytes for `ttl`.
    pub fn set(&mut self, key: &[u8], bytes: &[u8], ttl: Ttl) -> RedisResult<()> {
        match self.call(&[b"SETEX", key, ttl.seconds().to_string().as_bytes(), bytes])? {
            Value::Okay => Ok(()),
            _ => Err(protocol_error("an unexpected answer to SETEX")),
        }
    }

    /// Stores the session's bytes for `ttl` if it is there.
    pub fn replace(&mut self, key: &[u8], bytes: &[u8], ttl: Ttl) -> RedisResult<LockedOutcome> {
        let seconds = ttl.seconds().to_string();
        match self.call(&[b"SET", key, bytes, b"EX", seconds.as_bytes(), b"XX"])? {
            Value::Okay => Ok(LockedOutcome::Done),
            Value::Nil => Ok(LockedOutcome::Gone),
            _ => Err(protocol_error("an unexpected answer to SET")),
        }
    }

    /// Stores the session's bytes for `ttl` if they are still those of `before`.
    /// Returns whether they are. Rare: both pass through Lua.
    pub fn replace_unchanged(
        &mut self,
        key: &[u8],
        before: &[u8],
        bytes: &[u8],
        ttl: Ttl,
    ) -> RedisResult<bool> {
        let seconds = ttl.seconds().to_string();
        match self.call(&[
            b"EVAL",
            REPLACE_UNCHANGED,
            b"1",
            key,
            before,
            bytes,
            seconds.as_bytes(),
        ])? {
            Value::Int(replaced) => Ok(replaced != 0),
            _ => Err(protocol_error("an unexpected answer to EVAL")),
        }
    }

    /// Starts the TTL again. Returns false where there is no such session.
    pub fn touch(&mut self, key: &[u8], ttl: Ttl) -> RedisResult<bool> {
        match self.call(&[b"EXPIRE", key, ttl.seconds().to_string().as_bytes()])? {
            Value::Int(changed) => Ok(changed != 0),
            _ => Err(protocol_error("an unexpected answer to EXPIRE")),
        }
    }

    /// Removes the session, if it is there.
    pub fn delete(&mut self, key: &[u8]) -> RedisResult<()> {
        match self.call(&[b"DEL", key])? {
            Value::Int(_) => Ok(()),
            _ => Err(protocol_error("an unexpected answer to DEL")),
        }
    }

    fn call(&mut self, args: &[&[u8]]) -> RedisResult<Value> {
        self.0.call(args)
    }
}

/// Whether a server will never do what it was asked for: it is not permitted,
/// or unknown.
fn is_refused(error: &redis::ServerError) -> bool {
    error.kind() == Some(ServerErrorKind::NoPerm)
        || error.details().is_some_and(|text| text.starts_with("unknown command"))
}
