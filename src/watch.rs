//! Hears from the sentinels when a primary changes.
//!
//! A primary that is replaced as planned goes on taking writes for seconds,
//! and they are lost: nothing fails, so nobody would ask. So each process
//! listens to the sentinels, and looks, before each exchange, and after one
//! that took long, whether they have said something. Looking costs a system
//! call each, and no round trip. They say it before the replica is told, so
//! whatever the old primary has done after that is known to be in vain.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::{RedisResult, Value};

use crate::connection::Connection;
use crate::connections::Endpoint;
use crate::process::Process;
use crate::resp::pack;
use crate::save_path::Address;
use crate::sentinel::{primary_address, question};

/// Published when a replica is about to be promoted, when it was, and when
/// the sentinels have agreed on it.
const CHANNELS: [&str; 3] = [CHANGING, "+promoted-slave", "+switch-master"];
const CHANGING: &str = "+failover-state-send-slaveof-noone";
/// Pause before a sentinel that could not be listened to is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What a sentinel has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The primary may be another one: ask.
    Changed,
    /// Another one is being made the primary: writes to this one are lost.
    Changing,
}

/// Where the sentinels of a service are listened to.
pub struct Watch {
    service: String,
    state: Mutex<State>,
}

struct State {
    posts: Vec<Post>,
    /// The primary that most named when we began to listen, and one of them;
    /// until it is looked at.
    agreed: Option<(usize, Address)>,
}

struct Post {
    sentinel: Arc<Endpoint>,
    connection: Option<Connection>,
    /// When to try again, where there is no connection.
    due: Option<Instant>,
    /// Whether it named another primary than most did.
    odd: bool,
}

impl Watch {
    /// Listens to nobody yet: see [`Watch::set_up`].
    pub fn new(service: &str, sentinels: &[Arc<Endpoint>]) -> Self {
        let post = |sentinel: &Arc<Endpoint>| Post {
            sentinel: sentinel.clone(),
            connection: None,
            due: None,
            odd: false,
        };
        let posts = sentinels.iter().map(post).collect();
        let state = State { posts, agreed: None };
        Self { service: service.to_owned(), state: Mutex::new(state) }
    }

    /// What was said since the last time, and which sentinel said it.
    /// `primary` is the one that is believed in.
    pub fn news(&self, primary: &Address) -> Option<(usize, News)> {
        let state = &mut *self.state();
        let agreed = state.agreed.take().filter(|(_, named)| named != primary);
        let mut news = agreed.map(|(index, _)| (index, News::Changed));
        for (index, post) in state.posts.iter_mut().enumerate() {
            let Some(text) = post.connection.as_mut().and_then(Connection::news) else { continue };
            if text.is_empty() {
                // Whoever went away may have said something before.
                post.connection = None;
                news = news.or(Some((index, News::Changed)));
                continue;
            }
            let text = String::from_utf8_lossy(&text);
            if text.contains(&self.service) {
                let said = if text.contains(CHANGING) { News::Changing } else { News::Changed };
                news = Some((index, said));
            }
        }
        news
    }

    /// Listens to those that are not listened to yet. The helper thread does
    /// it: no request waits for a sentinel that does not answer.
    pub fn set_up(self: &Arc<Self>, process: &Process) {
        let now = Instant::now();
        let mut due = false;
        for post in &mut self.state().posts {
            if post.connection.is_none() && post.due.is_none_or(|due| due <= now) {
                post.due = Some(now + RETRY);
                due = true;
            }
        }
        if due {
            let watch = Arc::downgrade(self);
            process.helper().execute(move || {
                if let Some(watch) = watch.upgrade() {
                    watch.connect();
                }
            });
        }
    }

    fn connect(&self) {
        let silent: Vec<_> = {
            let posts = &self.state().posts;
            let silent = posts.iter().enumerate().filter(|(_, post)| post.connection.is_none());
            silent.map(|(index, post)| (index, post.sentinel.clone())).collect()
        };
        let mut named = Vec::new();
        for (index, sentinel) in silent {
            let Ok(mut connection) = sentinel.open() else { continue };
            let Ok(primary) = self.subscribe(&mut connection, &sentinel) else { continue };
            named.extend(primary.map(|primary| (index, primary)));
            if let Some(post) = self.state().posts.get_mut(index) {
                post.connection = Some(connection);
            }
        }
        self.compare(&named);
    }

    /// Finds the primary that more than half of all sentinels have `named`,
    /// and those that named another one: such a sentinel is behind, or
    /// watches something else.
    fn compare(&self, named: &[(usize, Address)]) {
        let state = &mut *self.state();
        let votes = |primary| named.iter().filter(|(_, other)| other == primary).count();
        let agreed = named.iter().find(|(_, primary)| votes(primary) * 2 > state.posts.len());
        let Some((_, primary)) = agreed else { return };
        for (index, other) in named {
            let Some(post) = state.posts.get_mut(*index) else { continue };
            post.odd = other != primary;
            if post.odd {
                let sentinel = &post.sentinel.host().address;
                tracing::warn!(%sentinel, names = %other, others = %primary, "a sentinel disagrees");
            }
        }
        state.agreed = agreed.cloned();
    }

    /// Whether that sentinel named another primary than most did.
    pub fn is_odd(&self, index: usize) -> bool {
        self.state().posts.get(index).is_some_and(|post| post.odd)
    }

    /// Subscribes, and asks for the primary in the same flight, so that no
    /// change falls between. Confirmations come out of band, as all messages
    /// do in the third version of the protocol; without it this fails.
    fn subscribe(
        &self,
        connection: &mut Connection,
        sentinel: &Endpoint,
    ) -> RedisResult<Option<Address>> {
        let mut packed = Vec::new();
        let mut subscribe: Vec<&[u8]> = vec![b"SUBSCRIBE"];
        subscribe.extend(CHANNELS.map(str::as_bytes));
        pack(&mut packed, &subscribe);
        pack(&mut packed, &question(&self.service));
        let answer = connection.exchange(&packed, 1, sentinel.host().read_timeout)?.pop();
        primary_address(answer.unwrap_or(Value::Nil))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
