//! What the server holds is what the model says.

use super::{Checked, Lock, Model, Step, check};
use crate::support::locking::scene::{SECOND, ttl};
use crate::support::process::poll;
use redis_session::key::Keys;

impl Model<'_> {
    pub(super) fn await_queue(&mut self) -> Checked {
        let wanted = format!("blocked_clients:{}\r", self.queue.len());
        let server = &mut self.server;
        let seen = poll(5 * SECOND, || {
            let info: String = redis::cmd("INFO").arg("clients").query(server).unwrap();
            info.contains(&wanted)
        });
        check!(seen, "not {wanted}");
        Ok(())
    }

    /// What Redis holds is what the model says.
    pub(super) fn compare(&mut self) -> Checked {
        let Keys { session, lock, baton, waiters } = &*self.location.keys;
        type Found = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<String>, Vec<Vec<u8>>);
        let (data, value, waiting, list): Found = redis::pipe()
            .get(session)
            .get(lock)
            .zrange(waiters, 0, -1)
            .lrange(baton, 0, -1)
            .query(&mut self.server)
            .unwrap();
        check!(data == self.data, "what is stored is not what was written last");
        let places: Vec<bool> = waiting.iter().map(|member| member.ends_with(":aside")).collect();
        let expected: Vec<bool> = self.waiters.iter().map(|waiter| waiter.aside).collect();
        check!(places == expected, "{waiting:?} wait, aside {expected:?}");
        let expected: Vec<Vec<u8>> = self.list.iter().cloned().collect();
        check!(list == expected, "{} batons while {:?}", list.len(), self.lock);
        match (&self.lock, value) {
            (Lock::Free, None) | (Lock::Abandoned, Some(_)) => {}
            (Lock::HeldBy(who), Some(value)) => {
                check!(value == self.tokens[*who].as_bytes(), "{who} does not hold it");
            }
            (Lock::Handed(baton), Some(value)) => check!(value == *baton, "another baton"),
            (model, _) => return Err(format!("the lock is not {model:?}")),
        }
        let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query(&mut self.server).unwrap();
        for key in &keys {
            let name = String::from_utf8_lossy(key);
            check!([session, lock, baton, waiters].contains(&key), "{name} is left");
            let left: i64 = redis::cmd("TTL").arg(key).query(&mut self.server).unwrap();
            check!(left != -1, "{name} lives for ever");
            let lifetime = ttl().seconds();
            check!(key != session || left > lifetime - 60, "the session lives for {left} s");
        }
        Ok(())
    }

    /// All requests end in good order.
    pub(super) fn finish(&mut self) -> Checked {
        for who in (0..self.states.len()).chain(0..self.states.len()) {
            for step in [Step::Claim(false), Step::Leave, Step::Write(9, false)] {
                self.take(who, step)?;
            }
        }
        check!(self.waiters.iter().all(|waiter| waiter.who.is_none()), "someone still waits");
        Ok(())
    }
}
