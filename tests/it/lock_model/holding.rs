//! The steps of whoever holds the lock, and how it goes to the next.

use std::time::Instant;

use super::{Checked, Lock, Model, State, check};
use crate::support::locking::scene::{received, storing};
use redis_session::lock::scripts::{LockedOutcome, WriteOptions};

impl Model<'_> {
    pub(super) fn write(
        &mut self,
        who: usize,
        read: Option<Vec<u8>>,
        size: usize,
        again: bool,
    ) -> Checked {
        self.writes += 1;
        // One that was there and is not any more stays away.
        let known = read.is_some();
        let gone = known && self.data.is_none();
        // What was read, and by whom it was written, are in what is stored.
        let read = read.map_or(0, |read| read.len());
        let mut data = format!("{}:{who}:{read};", self.writes).into_bytes();
        data.resize(size.max(data.len()), b'x');
        let held = self.is_held_by(who);
        for repeat in [false, true].into_iter().take(1 + usize::from(again)) {
            let token = &self.tokens[who];
            let kept = self.run(|scripts, keys| {
                scripts.write(
                    keys,
                    token,
                    WriteOptions { is_repeat: repeat, must_exist: known, ..storing(false) },
                    &data,
                )
            });
            if gone && (held || repeat) {
                check!(kept == LockedOutcome::Gone, "{who} {kept:?} {:?}", self.lock);
            } else {
                self.check_kept(who, held, kept)?;
            }
        }
        if held {
            self.data = (!gone).then_some(data);
            self.pass_on(who)?;
        }
        Ok(())
    }

    pub(super) fn release(&mut self, who: usize) -> Checked {
        let held = self.is_held_by(who);
        let kept = self.run(|scripts, keys| scripts.release(keys, &self.tokens[who]));
        self.check_kept(who, held, kept)?;
        if held { self.pass_on(who) } else { Ok(()) }
    }

    pub(super) fn destroy(&mut self, who: usize) -> Checked {
        let held = self.is_held_by(who);
        self.run(|scripts, keys| scripts.destroy(keys, &self.tokens[who]));
        self.data = None;
        if held { self.pass_on(who) } else { Ok(()) }
    }

    fn is_held_by(&self, who: usize) -> bool {
        self.lock == Lock::HeldBy(who)
    }

    fn check_kept(&self, who: usize, held: bool, kept: LockedOutcome) -> Checked {
        let expected = if held { LockedOutcome::Done } else { LockedOutcome::Lost };
        check!(kept == expected, "{who} {kept:?} {:?}", self.lock);
        Ok(())
    }

    pub(super) fn die(&mut self, who: usize, state: State) -> Checked {
        match state {
            State::Blocked(wait) => self.unblock(who, wait)?,
            State::Holding(_) if self.is_held_by(who) => self.lock = Lock::Abandoned,
            State::Idle | State::Counted | State::Popped(_) | State::Holding(_) => {}
        }
        if self.tickets[who].take().is_some() {
            self.waiter(who).who = None;
        }
        Ok(())
    }

    /// What time does to a lock; to a baton in the list at the same moment.
    pub(super) fn expire(&mut self) {
        redis::cmd("DEL").arg(&self.location.keys.lock).exec(&mut self.server).unwrap();
        if matches!(self.lock, Lock::Handed(_)) {
            redis::cmd("DEL").arg(&self.location.keys.baton).exec(&mut self.server).unwrap();
            self.list = None;
        }
        self.lock = Lock::Free;
    }

    pub(super) fn pass_on(&mut self, who: usize) -> Checked {
        self.hand_over([self.tokens[who].as_bytes(), b":baton"].concat())
    }

    fn hand_over(&mut self, baton: Vec<u8>) -> Checked {
        self.lock = Lock::Free;
        if !self.waiters.is_empty() {
            self.handed = Instant::now();
            self.lock = Lock::Handed(baton.clone());
            self.offer(baton)?;
        }
        check!(self.queue.is_empty() || self.lock != Lock::Free, "{:?} sleep", self.queue);
        Ok(())
    }

    /// The longest waiting has the baton now, and no one else.
    pub(super) fn offer(&mut self, baton: Vec<u8>) -> Checked {
        if self.queue.is_empty() {
            self.list = Some(baton);
            return Ok(());
        }
        self.list = None;
        let next = self.queue.remove(0);
        let State::Blocked(wait) = &mut self.states[next] else { panic!("not blocked") };
        let given = received(wait).ok_or(format!("{next} still sleeps"))?;
        check!(given == baton, "{next} was given another baton");
        self.states[next] = State::Popped(baton);
        Ok(())
    }
}
