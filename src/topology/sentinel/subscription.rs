//! Hears from the sentinels when a primary changes.
//!
//! A primary that is replaced as planned goes on taking writes for seconds,
//! and they are lost: nothing fails, so nobody would ask. So each process
//! listens to the sentinels, and looks, before each exchange, and after one
//! that took long, whether they have said something. Looking costs a system
//! call each, and no round trip. They say it before the replica is told, so
//! whatever the old primary has done after that is known to be in vain.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use redis::RedisResult;
use scheduled_thread_pool::ScheduledThreadPool;

use super::messages::{CHANNELS, announced};
use crate::client::connection::Connection;
use crate::client::endpoint::Endpoint;
use crate::client::resp::pack;
use crate::config::server::Address;
use crate::runtime::Runtime;
use crate::topology::sentinel::{PrimaryReport, ask, knows_replica, questions, said, settle};

/// Pause before a sentinel that could not be listened to is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// Longest time for connecting to one, and for its answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longest wait of a process' first exchange until the sentinels are heard.
const BEGINNING: Duration = Duration::from_millis(250);
/// Most that is read of one sentinel at a time, in pieces of up to 4 KB.
const MAX_READS: usize = 256;
/// Longest beginning of a message that is kept, in bytes.
const MAX_UNREAD: usize = 1 << 14;

/// Where the sentinels of a service are listened to.
pub struct Watch {
    service: String,
    runtime: Arc<Runtime>,
    state: Mutex<State>,
    /// Tells that the sentinels were tried.
    begun: Condvar,
}

struct State {
    posts: Vec<Post>,
    /// Whether the sentinels were tried, or that took too long.
    has_begun: bool,
    /// Whether those that are silent will be tried.
    scheduled: bool,
    /// What a sentinel said when we began to listen, until it is looked at.
    opening: Option<(usize, PrimaryReport)>,
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
    pub fn new(service: &str, sentinels: &[Arc<Endpoint>], runtime: Arc<Runtime>) -> Self {
        let post = |sentinel: &Arc<Endpoint>| Post {
            sentinel: sentinel.clone(),
            connection: None,
            unread: Vec::new(),
            odd: false,
        };
        let posts = sentinels.iter().map(post).collect();
        let state = State { posts, has_begun: false, scheduled: false, opening: None };
        Self {
            service: service.to_owned(),
            runtime,
            state: Mutex::new(state),
            begun: Condvar::new(),
        }
    }

    /// The sentinel that said since the last time that another server than
    /// `primary` is, or will be, the primary: it is to be asked.
    pub fn news(&self, primary: &Address) -> Option<usize> {
        let state = &mut *self.state();
        let opening = state.opening.take();
        let opening = opening.filter(|(_, said)| said.changing || said.primary != *primary);
        let mut news = opening.map(|(index, _)| index);
        for (index, post) in state.posts.iter_mut().enumerate() {
            // Much is said where many services are watched; most not of ours.
            for _ in 0..MAX_READS {
                let Some(bytes) = post.connection.as_mut().and_then(Connection::take_arrived)
                else {
                    break;
                };
                post.unread.extend(&bytes);
                let next = announced(&mut post.unread, &self.service);
                if next.iter().any(|next| next != primary) {
                    news = Some(index);
                }
                if bytes.is_empty() || post.unread.len() > MAX_UNREAD {
                    // Whoever went away may have said something before.
                    post.connection = None;
                    news = news.or(Some(index));
                }
            }
        }
        news
    }

    /// Listens to those that are not listened to yet, and goes on trying. Other
    /// threads do it: no request waits for a sentinel that does not answer.
    pub fn set_up(self: &Arc<Self>) {
        let state = &mut *self.state();
        if state.posts.iter().any(|post| post.connection.is_none())
            && !state.scheduled
            && let Some(helper) = self.runtime.start_helper()
        {
            state.scheduled = true;
            self.schedule(helper, Duration::ZERO);
        }
    }

    /// Whether nothing is left to be looked at of what the sentinels said when
    /// we began to listen. The first time, that is waited for: a process that
    /// starts while a primary is being replaced must not write to it.
    pub fn has_begun(&self) -> bool {
        let mut state = self.state();
        if state.has_begun {
            return state.opening.is_none();
        }
        let waited = self.begun.wait_timeout_while(state, BEGINNING, |state| {
            !state.has_begun && state.opening.is_none()
        });
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.has_begun = true;
        false
    }

    /// The helper thread only begins it: it has to make room in the pools of
    /// connections meanwhile. What it starts serves no signals either.
    fn schedule(self: &Arc<Self>, helper: &ScheduledThreadPool, delay: Duration) {
        let watch = Arc::downgrade(self);
        helper.execute_after(delay, move || {
            let Some(watch) = watch.upgrade() else { return };
            let connect = {
                let watch = watch.clone();
                move || watch.connect()
            };
            if thread::Builder::new().spawn(connect).is_err() {
                watch.state().scheduled = false; // until there is reason to ask
            }
        });
    }

    /// Listens to the silent ones. If one of them answers, all are compared.
    fn connect(self: &Arc<Self>) {
        let (silent, others): (Vec<_>, Vec<_>) = {
            let posts = &self.state().posts;
            let all = posts.iter().enumerate();
            let all = all.map(|(index, post)| (index, post.sentinel.with_timeout_cap(PATIENCE)));
            all.partition(|(index, _)| posts.get(*index).is_some_and(|it| it.connection.is_none()))
        };
        let mut answers = self.hear_all(&silent, true);
        if !answers.is_empty() {
            answers.extend(self.hear_all(&others, false));
            self.compare(&answers, &[silent, others].concat());
        }
        let mut state = self.state();
        state.has_begun = true;
        self.begun.notify_all();
        let is_complete = state.posts.iter().all(|post| post.connection.is_some());
        let helper = self.runtime.running_helper().filter(|_| !is_complete);
        state.scheduled = helper.is_some();
        if let Some(helper) = helper {
            self.schedule(helper, RETRY);
        }
    }

    /// What these sentinels say. Each has a thread, so that one that does not
    /// answer holds up no other.
    fn hear_all(
        &self,
        sentinels: &[(usize, Endpoint)],
        listen: bool,
    ) -> Vec<(usize, PrimaryReport)> {
        thread::scope(|scope| {
            let hear = |(index, sentinel)| {
                let hear = move || self.hear(index, sentinel, listen);
                thread::Builder::new().spawn_scoped(scope, hear).ok()
            };
            let sentinels = sentinels.iter().map(|(index, sentinel)| (*index, sentinel));
            let threads: Vec<_> = sentinels.filter_map(hear).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok().flatten()).collect()
        })
    }

    /// What that sentinel says. If we `listen` to it, it is heard from now on.
    fn hear(
        &self,
        index: usize,
        sentinel: &Endpoint,
        listen: bool,
    ) -> Option<(usize, PrimaryReport)> {
        let mut connection = sentinel.open().ok()?;
        let said = match listen {
            true => self.subscribe(&mut connection),
            false => ask(&mut connection, &self.service),
        };
        let said = said.ok()?;
        let mut state = self.state();
        if let Some(said) = said.as_ref().filter(|said| said.changing) {
            state.opening = Some((index, said.clone()));
            self.begun.notify_all();
        }
        if let Some(post) = state.posts.get_mut(index).filter(|_| listen) {
            post.unread.clear();
            post.connection = Some(connection);
        }
        said.map(|said| (index, said))
    }

    /// Finds out who is right, and who does not even know the right primary as
    /// a replica: such a sentinel watches something else.
    fn compare(&self, answers: &[(usize, PrimaryReport)], sentinels: &[(usize, Endpoint)]) {
        let sentinel = |index| sentinels.iter().find(|(other, _)| *other == index);
        let knows = |index: usize, address: &Address| {
            let connection = sentinel(index).and_then(|(_, sentinel)| sentinel.open().ok());
            let known = connection.map(|mut it| knows_replica(&mut it, &self.service, address));
            matches!(known, Some(Ok(true)))
        };
        let right = settle(answers, sentinels.len(), knows);
        let Some((index, right)) = right.filter(|_| answers.len() * 2 > sentinels.len()) else {
            return;
        };
        for (index, said) in answers {
            let odd = said.primary != right.primary && !knows(*index, &right.primary);
            if let Some(post) = self.state().posts.get_mut(*index) {
                post.odd = odd;
            }
            if odd {
                let sentinel = sentinel(*index).map(|(_, sentinel)| &sentinel.host().address);
                tracing::warn!(sentinel = sentinel.map(tracing::field::display),
                    names = %said.primary, others = %right.primary, "a sentinel disagrees");
            }
        }
        let mut state = self.state();
        if !state.opening.as_ref().is_some_and(|(_, said)| said.changing) {
            state.opening = Some((*index, right.clone()));
        }
    }

    /// Whether that sentinel watches something else than most do.
    pub fn is_odd(&self, index: usize) -> bool {
        self.state().posts.get(index).is_some_and(|post| post.odd)
    }

    /// Asks for the primary, and subscribes in the same flight, so that no
    /// change falls between. The confirmations are read with the messages: in
    /// the second version of the protocol they are answers, in the third not.
    fn subscribe(&self, connection: &mut Connection) -> RedisResult<Option<PrimaryReport>> {
        let mut packed = Vec::new();
        let questions = questions(&self.service);
        questions.iter().for_each(|question| pack(&mut packed, question));
        let mut subscribe: Vec<&[u8]> = vec![b"SUBSCRIBE"];
        subscribe.extend(CHANNELS.map(str::as_bytes));
        pack(&mut packed, &subscribe);
        said(connection.exchange(&packed, questions.len(), PATIENCE)?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
