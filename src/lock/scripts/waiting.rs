//! The operations of a request that wants the lock.

use std::time::Duration;

use redis::RedisResult;

use super::args::{millis, refreshing};
use super::replies::{AcquireReply, LockedOutcome, kept, turn};
use super::waiter::{Existence, ReceivedBaton, Ticket, WaiterState};
use super::{ACQUIRE, CLAIM, CLAIM_WINDOW, LEAVE, LOOK, PEEK, Scripts};
use crate::config::settings::Refresh;
use crate::key::Keys;
use crate::lock::token::Token;

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

    /// Waits no longer. What was on its way to us is offered to the next.
    pub fn leave(&mut self, keys: &Keys, ticket: &Ticket) -> RedisResult<LockedOutcome> {
        kept(self.run(&LEAVE, keys, &[&ticket.0])?)
    }
}
