//! What is kept in Redis: typed operations on one session's keys.
//!
//! Each is one round trip. Knows no pool, no retry and no PHP.

use redis::{RedisResult, Value};

use crate::link::Link;
use crate::resp::garbage;
use crate::settings::Ttl;

/// Operations on a connection.
pub struct Store<'a>(pub &'a mut dyn Link);

impl Store<'_> {
    /// The session's bytes, or none where there is no such session.
    pub fn get(&mut self, key: &[u8]) -> RedisResult<Option<Vec<u8>>> {
        data(self.call(&[b"GET", key])?)
    }

    /// The session's bytes; its TTL starts again. Two commands in one flight,
    /// as GETEX is younger than the oldest server we serve.
    pub fn get_and_touch(&mut self, key: &[u8], ttl: Ttl) -> RedisResult<Option<Vec<u8>>> {
        let seconds = ttl.seconds().to_string();
        let get: &[&[u8]] = &[b"GET", key];
        let expire: &[&[u8]] = &[b"EXPIRE", key, seconds.as_bytes()];
        let [found, touched] = <[Value; 2]>::try_from(self.0.call_all(&[get, expire])?)
            .map_err(|_| garbage("too few answers"))?;
        touched.extract_error()?;
        data(found.extract_error()?)
    }

    /// Stores the session's bytes for `ttl`.
    pub fn set(&mut self, key: &[u8], bytes: &[u8], ttl: Ttl) -> RedisResult<()> {
        match self.call(&[b"SETEX", key, ttl.seconds().to_string().as_bytes(), bytes])? {
            Value::Okay => Ok(()),
            _ => Err(garbage("an unexpected answer to SETEX")),
        }
    }

    /// Starts the TTL again. Returns false where there is no such session.
    pub fn touch(&mut self, key: &[u8], ttl: Ttl) -> RedisResult<bool> {
        match self.call(&[b"EXPIRE", key, ttl.seconds().to_string().as_bytes()])? {
            Value::Int(changed) => Ok(changed != 0),
            _ => Err(garbage("an unexpected answer to EXPIRE")),
        }
    }

    /// Removes the session, if it is there.
    pub fn delete(&mut self, key: &[u8]) -> RedisResult<()> {
        match self.call(&[b"DEL", key])? {
            Value::Int(_) => Ok(()),
            _ => Err(garbage("an unexpected answer to DEL")),
        }
    }

    fn call(&mut self, args: &[&[u8]]) -> RedisResult<Value> {
        self.0.call(args)
    }
}

/// A reply that is session data, or null.
pub(crate) fn data(value: Value) -> RedisResult<Option<Vec<u8>>> {
    match value {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::Nil => Ok(None),
        _ => Err(garbage("something else where session data belongs")),
    }
}
