//! Hears from the sentinels when a primary changes.
//!
//! A primary that is replaced as planned goes on taking writes for seconds,
//! and they are lost: nothing fails, so nobody would ask. So each process
//! listens to the sentinels, and looks, before each exchange, and after one
//! that took long, whether they have said something. Looking costs a system
//! call each, and no round trip. They say it before the replica is told, so
//! whatever the old primary has done after that is known to be in vain.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::RedisResult;

use crate::connection::Connection;
use crate::connections::Endpoint;
use crate::process::Process;
use crate::resp::pack;
use crate::save_path::Address;
use crate::sentinel::{Said, ask, knows_replica, questions, said, settle, tcp};

/// Published when a replica is about to be promoted, when it was, and when
/// the sentinels have agreed on it.
const CHANNELS: [&str; 3] = ["+failover-state-send-slaveof-noone", "+promoted-slave", SWITCHED];
const SWITCHED: &str = "+switch-master";
/// Pause before a sentinel that could not be listened to is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// Longest time for connecting to one: the helper thread has more to do.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longest beginning of a message that is kept, in bytes.
const MAX_UNREAD: usize = 1 << 14;

/// Where the sentinels of a service are listened to.
pub struct Watch {
    service: String,
    state: Mutex<State>,
}

struct State {
    posts: Vec<Post>,
    /// Whether the helper thread is to connect to those that are silent.
    scheduled: bool,
    /// What a sentinel said when we began to listen, until it is looked at.
    opening: Option<(usize, Said)>,
}

struct Post {
    sentinel: Arc<Endpoint>,
    connection: Option<Connection>,
    /// The beginning of a message.
    unread: Vec<u8>,
    /// Whether it watches something else than most do.
    odd: bool,
}

impl Watch {
    /// Listens to nobody yet: see [`Watch::set_up`].
    pub fn new(service: &str, sentinels: &[Arc<Endpoint>]) -> Self {
        let post = |sentinel: &Arc<Endpoint>| Post {
            sentinel: sentinel.clone(),
            connection: None,
            unread: Vec::new(),
            odd: false,
        };
        let posts = sentinels.iter().map(post).collect();
        let state = State { posts, scheduled: false, opening: None };
        Self { service: service.to_owned(), state: Mutex::new(state) }
    }

    /// The sentinel that said since the last time that another server than
    /// `primary` is, or will be, the primary: it is to be asked.
    pub fn news(&self, primary: &Address) -> Option<usize> {
        let state = &mut *self.state();
        let opening = state.opening.take();
        let opening = opening.filter(|(_, said)| said.changing || said.primary != *primary);
        let mut news = opening.map(|(index, _)| index);
        for (index, post) in state.posts.iter_mut().enumerate() {
            let Some(bytes) = post.connection.as_mut().and_then(Connection::news) else { continue };
            post.unread.extend(&bytes);
            if bytes.is_empty() || post.unread.len() > MAX_UNREAD {
                // Whoever went away may have said something before.
                post.connection = None;
                news = news.or(Some(index));
                continue;
            }
            if announced(&mut post.unread, &self.service).iter().any(|next| next != primary) {
                news = Some(index);
            }
        }
        news
    }

    /// Listens to those that are not listened to yet, and goes on trying. The
    /// helper thread does it: no request waits for a sentinel that does not
    /// answer.
    pub fn set_up(self: &Arc<Self>, process: &Process) {
        let state = &mut *self.state();
        if state.posts.iter().any(|post| post.connection.is_none()) && !state.scheduled {
            state.scheduled = true;
            self.schedule(process, Duration::ZERO);
        }
    }

    fn schedule(self: &Arc<Self>, process: &Process, delay: Duration) {
        let watch = Arc::downgrade(self);
        process.helper().execute_after(delay, move || {
            if let Some(watch) = watch.upgrade() {
                watch.connect();
            }
        });
    }

    /// Listens to the silent ones. As this runs in the helper thread, which has
    /// to make room in the pools of connections, it uses connections of its own.
    fn connect(self: &Arc<Self>) {
        let posts: Vec<_> = {
            let posts = &self.state().posts;
            posts.iter().map(|post| (post.sentinel.clone(), post.connection.is_none())).collect()
        };
        let (mut answers, mut has_changed) = (Vec::new(), false);
        for (index, (sentinel, is_silent)) in posts.iter().enumerate() {
            let sentinel = sentinel.hasty(PATIENCE);
            let Ok(mut connection) = sentinel.open() else { continue };
            let said = match is_silent {
                true => self.subscribe(&mut connection),
                false => ask(&mut connection, &self.service),
            };
            let Ok(said) = said else { continue };
            answers.extend(said.map(|said| (index, said)));
            if let Some(post) = self.state().posts.get_mut(index).filter(|_| *is_silent) {
                post.unread.clear();
                post.connection = Some(connection);
                has_changed = true;
            }
        }
        if has_changed {
            self.compare(&answers, &posts);
        }
        let mut state = self.state();
        state.scheduled = state.posts.iter().any(|post| post.connection.is_none());
        if state.scheduled {
            self.schedule(&Process::current(), RETRY);
        }
    }

    /// Finds out who is right, and who does not even know the right primary as
    /// a replica: such a sentinel watches something else.
    fn compare(&self, answers: &[(usize, Said)], posts: &[(Arc<Endpoint>, bool)]) {
        let knows = |index: usize, address: &Address| {
            let sentinel = posts.get(index).map(|(sentinel, _)| sentinel.hasty(PATIENCE));
            let connection = sentinel.and_then(|sentinel| sentinel.open().ok());
            let known = connection.map(|mut it| knows_replica(&mut it, &self.service, address));
            matches!(known, Some(Ok(true)))
        };
        let right = settle(answers, posts.len(), knows);
        let Some((index, right)) = right.filter(|_| answers.len() * 2 > posts.len()) else {
            return;
        };
        let mut opening = (*index, right.clone());
        for (index, said) in answers {
            let odd = said.primary != right.primary && !knows(*index, &right.primary);
            if let Some(post) = self.state().posts.get_mut(*index) {
                post.odd = odd;
            }
            if odd {
                let sentinel = posts.get(*index).map(|(sentinel, _)| &sentinel.host().address);
                tracing::warn!(sentinel = sentinel.map(tracing::field::display),
                    names = %said.primary, others = %right.primary, "a sentinel disagrees");
            } else if said.changing && said.epoch >= right.epoch {
                opening = (*index, said.clone());
            }
        }
        self.state().opening = Some(opening);
    }

    /// Whether that sentinel watches something else than most do.
    pub fn is_odd(&self, index: usize) -> bool {
        self.state().posts.get(index).is_some_and(|post| post.odd)
    }

    /// Subscribes, and asks for the primary in the same flight, so that no
    /// change falls between. Confirmations come out of band, as all messages
    /// do in the third version of the protocol; without it this fails.
    fn subscribe(&self, connection: &mut Connection) -> RedisResult<Option<Said>> {
        let mut packed = Vec::new();
        let mut subscribe: Vec<&[u8]> = vec![b"SUBSCRIBE"];
        subscribe.extend(CHANNELS.map(str::as_bytes));
        pack(&mut packed, &subscribe);
        let questions = questions(&self.service);
        questions.iter().for_each(|question| pack(&mut packed, question));
        said(connection.exchange(&packed, questions.len(), PATIENCE)?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the whole messages out of `unread`, and returns the servers that they
/// name as the next primary of `service`.
fn announced(unread: &mut Vec<u8>, service: &str) -> Vec<Address> {
    let (mut channel, mut next) = (None, Vec::new());
    let (mut at, mut done) = (0, 0);
    for line in unread.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        let Some(line) = line.strip_suffix(b"\r\n") else { break };
        let line = String::from_utf8_lossy(line);
        if line.starts_with(['$', '>']) {
            continue; // a length
        }
        match channel.take() {
            None => channel = CHANNELS.into_iter().find(|channel| *channel == line),
            Some(channel) => next.extend(named(channel, &line, service)),
        }
        if channel.is_none() {
            done = at;
        }
    }
    unread.drain(..done);
    next
}

/// The server that a message names as the next primary, where it is about
/// `service`: `SERVICE HOST PORT HOST PORT` with the former one first, or
/// `slave NAME HOST PORT @ SERVICE HOST PORT` with the former one last.
fn named(channel: &str, message: &str, service: &str) -> Option<Address> {
    let words: Vec<&str> = message.split(' ').collect();
    match words[..] {
        [about, _, _, host, port] if channel == SWITCHED && about == service => tcp(host, port),
        [_, _, host, port, "@", about, ..] if about == service => tcp(host, port),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: &str = ">3\r\n$7\r\nmessage\r\n$15\r\n+promoted-slave\r\n$60\r\n\
        slave 10.0.0.2:1 10.0.0.2 1 @ sessions 10.0.0.1 1\r\n\
        >3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$40\r\nother 10.0.0.1 1 10.0.0.9 1\r\n\
        >3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$40\r\nsessions 10.0.0.2 1 fd00::3 2\r\n";

    #[test]
    fn messages_are_read_wherever_they_are_cut() {
        for cut in 0..=MESSAGES.len() {
            let (mut unread, mut next) = (Vec::new(), Vec::new());
            for part in [&MESSAGES[..cut], &MESSAGES[cut..]] {
                unread.extend(part.as_bytes());
                next.extend(announced(&mut unread, "sessions"));
            }
            let next: Vec<_> = next.iter().map(ToString::to_string).collect();
            assert_eq!(next, ["10.0.0.2:1", "[fd00::3]:2"], "{cut}");
            assert_eq!(unread, b"", "{cut}");
        }
    }
}
