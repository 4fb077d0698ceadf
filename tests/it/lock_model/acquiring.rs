//! The steps of those who want the session: ask, wait, look again, claim, leave.

use std::time::Duration;

use super::{Checked, Lock, Model, State, Waiter, check};
use crate::support::locking::scene::{LEASE, joining, received};
use redis_session::client::endpoint::PooledConnection;
use redis_session::lock::scripts::{AcquireReply, Existence, ReceivedBaton, Ticket, WaiterState};
use redis_session::lock::token::Token;

/// How long those aside have to take what was offered to one who came later.
const EARLY: Duration = Duration::from_millis(100);

impl Model<'_> {
    /// The server says that it is not its turn.
    fn is_told_to_wait(&mut self, who: usize, ticket: Option<Ticket>) -> Checked {
        check!(ticket.is_some(), "{who} has no ticket");
        match &self.tickets[who] {
            None => self.waiters.push(Waiter { who: Some(who), aside: false }),
            Some(old) => check!(ticket.as_ref() == Some(old), "{who} has lost its place"),
        }
        self.tickets[who] = ticket;
        self.states[who] = State::Counted;
        Ok(())
    }

    pub(super) fn ask(&mut self, who: usize) -> Checked {
        if self.tickets[who].is_none() {
            self.tokens[who] = Token::new("").unwrap();
        }
        let (token, reads_only) = (self.tokens[who].clone(), Self::reads_only(who));
        let (ticket, in_line) = self.ticket(who);
        let reply = self.run(|scripts, keys| {
            let waiter = waiter_state(ticket.as_ref(), in_line);
            if reads_only {
                scripts.peek(keys, &token, None, Existence::Any, waiter, b"")
            } else {
                scripts.acquire(keys, &token, LEASE, None, Existence::Any, waiter)
            }
        });
        let is_next = self.waiters.is_empty() || self.place_of(who) == Some(0);
        let may = match &self.lock {
            Lock::Free => reads_only || is_next,
            Lock::Handed(_) if reads_only || self.waiters.is_empty() => self.is_free(),
            Lock::Handed(_) => is_next,
            Lock::HeldBy(_) | Lock::Abandoned => false,
        };
        let was_free = self.lock == Lock::Free;
        match reply {
            AcquireReply::Acquired(data) => {
                check!(may, "{who} got it while {:?}", self.lock);
                check!(data == self.data, "{who} read something else");
                self.forget(who);
                if reads_only {
                    if was_free && !self.waiters.is_empty() {
                        self.pass_on(who)?;
                    }
                    return Ok(());
                }
                if matches!(self.lock, Lock::Handed(_)) {
                    self.list = None;
                }
                self.lock = Lock::HeldBy(who);
                self.states[who] = State::Holding(data);
            }
            AcquireReply::Busy { ticket, .. } => {
                check!(!may, "{who} was refused while {:?}", self.lock);
                self.is_told_to_wait(who, ticket)?;
                if was_free {
                    self.pass_on(who)?; // to those who came before
                }
            }
            other => return Err(format!("{other:?}")),
        }
        Ok(())
    }

    pub(super) fn look(&mut self, who: usize) -> Checked {
        let (ticket, in_line) = self.ticket(who);
        let token = &self.tokens[who];
        let reply = self.run(|scripts, keys| {
            scripts.heartbeat(keys, token, waiter_state(ticket.as_ref(), in_line))
        });
        check!(matches!(reply, AcquireReply::Busy { .. }), "{who} was told {reply:?}");
        if self.lock == Lock::Free { self.pass_on(who) } else { Ok(()) }
    }

    pub(super) fn block(&mut self, who: usize) -> Checked {
        let command: [&[u8]; 3] = [b"BLPOP", &self.location.keys.baton, b"60"];
        let mut wait = self.backend.send(&self.location, Duration::ZERO, &command).unwrap();
        if self.list.is_some() {
            let baton = received(&mut wait).ok_or(format!("{who} was not given the baton"))?;
            check!(self.list.take() == Some(baton.clone()), "{who} was given another baton");
            self.states[who] = State::Popped(baton);
        } else {
            self.states[who] = State::Blocked(wait);
            self.queue.push(who);
            self.await_queue()?;
        }
        Ok(())
    }

    pub(super) fn claim(&mut self, who: usize, baton: &[u8], again: bool) -> Checked {
        let reads_only = Self::reads_only(who);
        let early = self.handed.elapsed() < EARLY / 2;
        let reply = self.reply_to_claim(who, baton);
        let given = self.lock == Lock::Handed(baton.to_vec());
        let before = self.place_of(who).unwrap();
        let passed_over = self.waiters[..before].iter().any(|waiter| waiter.aside);
        match reply {
            AcquireReply::Acquired(data) if reads_only => {
                // One who does not want the lock needs no baton where there is none.
                check!(given || self.is_free(), "{who} read while {:?}", self.lock);
                check!(data == self.data, "{who} read something else");
                let was_free = self.lock == Lock::Free;
                self.forget(who);
                if given || was_free && !self.waiters.is_empty() {
                    self.pass_on(who)?;
                }
            }
            AcquireReply::Acquired(data) => {
                check!(given, "{who} claimed while {:?}", self.lock);
                check!(!(passed_over && early), "{who} was served before one who came earlier");
                check!(data == self.data, "{who} read something else");
                if again {
                    check!(
                        self.reply_to_claim(who, baton) == AcquireReply::Acquired(data.clone()),
                        "{who} did not find its own lock"
                    );
                }
                self.waiters[..before].iter_mut().for_each(|waiter| waiter.aside = false);
                self.forget(who);
                self.lock = Lock::HeldBy(who);
                self.states[who] = State::Holding(data);
            }
            AcquireReply::Busy { ticket, .. } => {
                let may = given && !passed_over || reads_only && self.is_free();
                check!(!may, "{who} could not claim");
                self.is_told_to_wait(who, ticket)?;
                if !reads_only {
                    self.waiter(who).aside = true;
                    if given && self.list.is_none() {
                        self.offer(baton.to_vec())?;
                    }
                }
            }
            other => return Err(format!("{other:?}")),
        }
        Ok(())
    }

    /// What the server says to a claim with this baton.
    fn reply_to_claim(&self, who: usize, baton: &[u8]) -> AcquireReply {
        let (token, (ticket, in_line)) = (&self.tokens[who], self.ticket(who));
        self.run(|scripts, keys| {
            let waiter = waiter_state(ticket.as_ref(), in_line);
            if Self::reads_only(who) {
                scripts.peek(keys, token, None, Existence::Any, waiter, baton)
            } else {
                let received = ReceivedBaton { waiter, baton };
                scripts.claim(keys, token, LEASE, None, Existence::Any, received)
            }
        })
    }

    pub(super) fn leave(&mut self, who: usize) -> Checked {
        let ticket = self.tickets[who].clone().unwrap();
        self.run(|scripts, keys| scripts.leave(keys, &ticket));
        self.forget(who);
        match &self.lock {
            Lock::Handed(baton) if !self.waiters.is_empty() && self.list.is_none() => {
                self.offer(baton.clone())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn unblock(&mut self, who: usize, wait: PooledConnection) -> Checked {
        drop(wait); // closes its connection, as it waits for an answer
        self.queue.retain(|waiting| *waiting != who);
        self.await_queue()
    }
}

fn waiter_state(ticket: Option<&Ticket>, in_line: bool) -> WaiterState<'_> {
    match ticket {
        None => joining(),
        Some(ticket) => WaiterState::Waiting { ticket, expires_after: LEASE, in_line },
    }
}
