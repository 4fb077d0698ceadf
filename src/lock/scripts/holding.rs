//! The operations of a request that holds the lock.

use std::time::Duration;

use redis::RedisResult;

use super::args::{flag, millis, refreshing, seconds, window};
use super::replies::{LockedOutcome, kept};
use super::{
    CLAIM_WINDOW, DESTROY, RECLAIM, RELEASE, RENEW, Scripts, TOUCH, WRITE, WRITE_STAGED, last,
};
use crate::config::settings::{Refresh, Ttl};
use crate::error::ends_connection;
use crate::key::Keys;
use crate::lock::token::Token;

/// From this size on, in bytes, a session is written beside Lua.
const STAGED_SIZE: usize = 2 << 10;
/// How long, in seconds, a staged session stays if its script never comes.
const STAGED_SECONDS: &[u8] = b"60";

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

impl Scripts<'_> {
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
}
