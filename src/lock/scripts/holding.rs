//! The operations of a request that holds the lock.

use std::time::Duration;

use redis::RedisResult;

use super::args::{CLAIM_WINDOW, WriteOptions, claim_window, flag, millis, refresh_arg, seconds};
use super::replies::{LockedOutcome, locked_outcome};
use super::{DESTROY, RECLAIM, RELEASE, RENEW, Scripts, TOUCH, WRITE, WRITE_STAGED, last_reply};
use crate::config::settings::{Refresh, Ttl};
use crate::error::ends_connection;
use crate::key::Keys;
use crate::lock::token::Token;

/// From this size on, in bytes, a session is not passed through Lua.
const STAGED_SIZE: usize = 2 << 10;
/// How long, in seconds, a staged session is kept if its script never runs.
const STAGED_SECONDS: &[u8] = b"60";

impl Scripts<'_> {
    /// Stores the session if we hold its lock, and releases the lock unless it is
    /// to be kept.
    pub fn write(
        &mut self,
        keys: &Keys,
        token: &Token,
        WriteOptions { ttl, keep_lock, is_repeat, must_exist }: WriteOptions,
        bytes: &[u8],
    ) -> RedisResult<LockedOutcome> {
        let (ttl, window) = (seconds(Some(ttl)), claim_window(keep_lock));
        let (is_repeat, must_exist) = (flag(is_repeat), flag(must_exist));
        // Where keys may be missing, none can be renamed.
        if bytes.len() < STAGED_SIZE || self.0.is_asking() {
            let args = [token.as_bytes(), &ttl, &window, is_repeat, must_exist, bytes];
            return locked_outcome(self.run(&WRITE, keys, &args)?);
        }
        let staged = keys.staged(token.random());
        let stage: &[&[u8]] = &[b"SETEX", &staged, STAGED_SECONDS, bytes];
        let args = [token.as_bytes(), &ttl, &window, is_repeat, must_exist];
        let answers = self.pipeline(Some(stage), &WRITE_STAGED, keys, &[&staged], &args, None)?;
        let outcome = last_reply(answers).and_then(locked_outcome);
        if outcome.as_ref().is_err_and(|error| !ends_connection(error)) {
            let _ = self.0.call(&[b"DEL", &staged]); // the first error is the one to report
        }
        outcome
    }

    /// If we hold the lock: starts the TTL again, if one is given, and releases the
    /// lock unless `keep`.
    pub fn touch(
        &mut self,
        keys: &Keys,
        token: &Token,
        ttl: Option<Ttl>,
        keep: bool,
    ) -> RedisResult<LockedOutcome> {
        locked_outcome(self.run(
            &TOUCH,
            keys,
            &[token.as_bytes(), &seconds(ttl), &claim_window(keep)],
        )?)
    }

    /// Deletes the session, and releases the lock if we hold it.
    pub fn destroy(&mut self, keys: &Keys, token: &Token) -> RedisResult<LockedOutcome> {
        locked_outcome(self.run(&DESTROY, keys, &[token.as_bytes(), &millis(CLAIM_WINDOW)])?)
    }

    /// Releases the lock if we hold it.
    pub fn release(&mut self, keys: &Keys, token: &Token) -> RedisResult<LockedOutcome> {
        locked_outcome(self.run(&RELEASE, keys, &[token.as_bytes(), &millis(CLAIM_WINDOW)])?)
    }

    /// If we hold the lock: starts its `lease` again, if one is given, and starts
    /// the session's TTL again once half of it is over, so that the session does
    /// not expire while it is used.
    pub fn renew(
        &mut self,
        keys: &Keys,
        token: &Token,
        lease: Option<Duration>,
        ttl: Ttl,
    ) -> RedisResult<LockedOutcome> {
        let lease = millis(lease.unwrap_or_default());
        let refresh = Refresh::Below(ttl, Duration::from(ttl) / 2);
        let args = [token.as_bytes(), &lease, &refresh_arg(refresh)];
        locked_outcome(self.run(&RENEW, keys, &args)?)
    }

    /// Takes a lost lock again, if no one has it and the session is as it was when
    /// it was read: `before`, or none if it did not exist.
    pub fn reclaim(
        &mut self,
        keys: &Keys,
        token: &Token,
        lease: Duration,
        before: Option<&[u8]>,
    ) -> RedisResult<LockedOutcome> {
        let existed = flag(before.is_some());
        let args = [token.as_bytes(), &millis(lease), existed, before.unwrap_or_default()];
        locked_outcome(self.run(&RECLAIM, keys, &args)?)
    }
}
