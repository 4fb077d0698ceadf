//! The operations of a request that wants the lock.

use std::time::Duration;

use redis::RedisResult;

use super::args::{CLAIM_WINDOW, millis, refresh_arg};
use super::replies::{AcquireReply, LockedOutcome, acquire_reply, locked_outcome};
use super::waiter::{Existence, ReceivedBaton, Ticket, WaiterState};
use super::{ACQUIRE, CLAIM, HEARTBEAT, LEAVE, PEEK, Scripts};
use crate::config::settings::Refresh;
use crate::key::Keys;
use crate::lock::token::Token;

impl Scripts<'_> {
    /// Takes the lock if it is free, and reads. `refresh` starts the TTL again. A
    /// waiter is recorded where the lock is busy.
    pub fn acquire(
        &mut self,
        keys: &Keys,
        token: &Token,
        lease: Duration,
        refresh: impl Into<Refresh>,
        wanted: Existence,
        waiter: WaiterState<'_>,
    ) -> RedisResult<AcquireReply> {
        let (lease, refresh, window) = (millis(lease), refresh_arg(refresh), millis(CLAIM_WINDOW));
        let [ticket, expires_after, location, max_waiters] = &waiter.args();
        let token_bytes = token.as_bytes();
        let args: [&[u8]; 9] = [
            token_bytes,
            &lease,
            &refresh,
            wanted.arg(),
            &window,
            ticket,
            expires_after,
            location,
            max_waiters,
        ];
        self.run_and_get(&ACQUIRE, keys, &args, Some(token))
    }

    /// Takes the lock with the baton that a waiter received, and reads.
    pub fn claim(
        &mut self,
        keys: &Keys,
        token: &Token,
        lease: Duration,
        refresh: impl Into<Refresh>,
        wanted: Existence,
        received: ReceivedBaton<'_>,
    ) -> RedisResult<AcquireReply> {
        let ReceivedBaton { waiter, baton } = received;
        let (lease, refresh, window) = (millis(lease), refresh_arg(refresh), millis(CLAIM_WINDOW));
        let [ticket, expires_after, ..] = &waiter.args();
        let token_bytes = token.as_bytes();
        let args: [&[u8]; 8] =
            [token_bytes, &lease, &refresh, wanted.arg(), &window, ticket, expires_after, baton];
        self.run_and_get(&CLAIM, keys, &args, Some(token))
    }

    /// Reads if no one holds the lock, without taking it. A waiter that received a
    /// baton passes it on.
    pub fn peek(
        &mut self,
        keys: &Keys,
        token: &Token,
        refresh: impl Into<Refresh>,
        wanted: Existence,
        waiter: WaiterState<'_>,
        baton: &[u8],
    ) -> RedisResult<AcquireReply> {
        let (refresh, window) = (refresh_arg(refresh), millis(CLAIM_WINDOW));
        let [ticket, expires_after, location, max_waiters] = &waiter.args();
        let token = token.as_bytes();
        let args: [&[u8]; 9] = [
            token,
            &refresh,
            wanted.arg(),
            &window,
            ticket,
            expires_after,
            location,
            max_waiters,
            baton,
        ];
        self.run_and_get(&PEEK, keys, &args, None)
    }

    /// Shows that a waiter lives while its BLPOP waits in the server's queue, and
    /// offers a lock that no one holds to the one that has waited longest.
    pub fn heartbeat(
        &mut self,
        keys: &Keys,
        token: &Token,
        waiter: WaiterState<'_>,
    ) -> RedisResult<AcquireReply> {
        let [ticket, expires_after, location, _] = &waiter.args();
        let window = millis(CLAIM_WINDOW);
        let args: [&[u8]; 5] = [token.as_bytes(), &window, ticket, expires_after, location];
        acquire_reply(self.run(&HEARTBEAT, keys, &args)?, Ok(None))
    }

    /// Leaves the queue. A baton that was on its way to us is offered to the next.
    pub fn leave(&mut self, keys: &Keys, ticket: &Ticket) -> RedisResult<LockedOutcome> {
        locked_outcome(self.run(&LEAVE, keys, &[&ticket.0])?)
    }
}
