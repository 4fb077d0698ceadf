//! Hears from the sentinels when a primary changes.
//!
//! A primary that is replaced as planned goes on taking writes for seconds,
//! and they are lost: nothing fails, so no one would ask. So each process
//! listens to the sentinels, and looks, before each exchange, and after one
//! that took long, whether they have said something. Looking costs a system
//! call each, and no round trip. They say it before the replica is told, so
//! whatever the old primary has done after that is known to be in vain.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use redis::RedisResult;
use scheduled_thread_pool::ScheduledThreadPool;

use super::messages::{CHANNELS, take_announced};
use super::report::{
    PrimaryReport, parse_report, report_commands, request_report, request_whether_replica, resolve,
};
use crate::client::connection::Connection;
use crate::client::endpoint::Endpoint;
use crate::client::resp::pack;
use crate::config::server::Address;
use crate::runtime::Runtime;

/// Pause before a sentinel that could not be listened to is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// Longest time for connecting to one, and for its answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Longest wait of a process' first exchange until the sentinels are heard.
const LONGEST_START: Duration = Duration::from_millis(250);
/// Most that is read of one sentinel at a time, in pieces of up to 4 KB.
const MAX_READS: usize = 256;
/// Longest beginning of a message that is kept, in bytes.
const MAX_UNREAD: usize = 1 << 14;

/// Where the sentinels of a service are listened to.
pub(super) struct Subscriptions {
    service: String,
    runtime: Arc<Runtime>,
    state: Mutex<State>,
    /// Tells that the sentinels were tried, or that one has something to say.
    progress: Condvar,
}

struct State {
    subscriptions: Vec<Subscription>,
    /// Whether the sentinels were tried, or that took too long.
    tried: bool,
    /// Whether those that are silent will be tried.
    scheduled: bool,
    /// What a sentinel said when we began to listen, until it is looked at.
    initial_report: Option<(usize, PrimaryReport)>,
}

struct Subscription {
    sentinel: Arc<Endpoint>,
    connection: Option<Connection>,
    /// The beginning of a message.
    unread: Vec<u8>,
    /// Whether it watches something else than most do.
    is_outlier: bool,
}

impl Subscriptions {
    /// Listens to no one yet: see [`Subscriptions::start`].
    pub(super) fn new(service: &str, sentinels: &[Arc<Endpoint>], runtime: Arc<Runtime>) -> Self {
        let subscription = |sentinel: &Arc<Endpoint>| Subscription {
            sentinel: sentinel.clone(),
            connection: None,
            unread: Vec::new(),
            is_outlier: false,
        };
        let subscriptions = sentinels.iter().map(subscription).collect();
        let state = State { subscriptions, tried: false, scheduled: false, initial_report: None };
        Self {
            service: service.to_owned(),
            runtime,
            state: Mutex::new(state),
            progress: Condvar::new(),
        }
    }

    /// Reads what the sentinels have published since the last time. Returns one
    /// that names another server than `primary`, now or soon: it is to be asked.
    pub(super) fn take_news(&self, primary: &Address) -> Option<usize> {
        let state = &mut *self.state();
        let initial_report = state.initial_report.take();
        let initial_report =
            initial_report.filter(|(_, report)| report.changing || report.primary != *primary);
        let mut news = initial_report.map(|(index, _)| index);
        for (index, subscription) in state.subscriptions.iter_mut().enumerate() {
            // Much is said where many services are watched; most not of ours.
            for _ in 0..MAX_READS {
                let Some(bytes) =
                    subscription.connection.as_mut().and_then(Connection::take_arrived)
                else {
                    break;
                };
                subscription.unread.extend(&bytes);
                let next = take_announced(&mut subscription.unread, &self.service);
                if next.iter().any(|next| next != primary) {
                    news = Some(index);
                }
                if bytes.is_empty() || subscription.unread.len() > MAX_UNREAD {
                    // Whoever went away may have said something before.
                    subscription.connection = None;
                    news = news.or(Some(index));
                }
            }
        }
        news
    }

    /// Listens to those that are not listened to yet, and goes on trying. Other
    /// threads do it: no request waits for a sentinel that does not answer.
    pub(super) fn start(self: &Arc<Self>) {
        let state = &mut *self.state();
        if state.subscriptions.iter().any(|subscription| subscription.connection.is_none())
            && !state.scheduled
            && let Some(helper) = self.runtime.start_helper()
        {
            state.scheduled = true;
            self.schedule(helper, Duration::ZERO);
        }
    }

    /// Waits until the sentinels were tried: once, for up to 250 ms. Returns
    /// whether it waited. A process that starts while a primary is being replaced
    /// must not write to it.
    pub(super) fn wait_for_start(&self) -> bool {
        let state = self.state();
        if state.tried {
            return false;
        }
        let waited = self.progress.wait_timeout_while(state, LONGEST_START, |state| {
            !state.tried && state.initial_report.is_none()
        });
        waited.unwrap_or_else(PoisonError::into_inner).0.tried = true;
        true
    }

    /// Whether something is left to be looked at of what the sentinels said when
    /// we began to listen.
    pub(super) fn has_initial_report(&self) -> bool {
        self.state().initial_report.is_some()
    }

    /// Starts [`subscribe_all`](Self::subscribe_all) after `delay`. The helper
    /// thread only begins it: it has to make room in the pools of
    /// connections meanwhile. What it starts serves no signals either.
    fn schedule(self: &Arc<Self>, helper: &ScheduledThreadPool, delay: Duration) {
        let subscriptions = Arc::downgrade(self);
        helper.execute_after(delay, move || {
            let Some(subscriptions) = subscriptions.upgrade() else { return };
            let connect = {
                let subscriptions = subscriptions.clone();
                move || subscriptions.subscribe_all()
            };
            if thread::Builder::new().spawn(connect).is_err() {
                subscriptions.state().scheduled = false; // until there is reason to ask
            }
        });
    }

    /// Listens to the silent ones, and waits for them. If one of them answers, all
    /// are compared.
    fn subscribe_all(self: &Arc<Self>) {
        let (silent, others): (Vec<_>, Vec<_>) = {
            let subscriptions = &self.state().subscriptions;
            let all = subscriptions.iter().enumerate();
            let all = all.map(|(index, subscription)| {
                (index, subscription.sentinel.with_timeout_cap(TIMEOUT))
            });
            all.partition(|(index, _)| {
                subscriptions.get(*index).is_some_and(|it| it.connection.is_none())
            })
        };
        let mut answers = self.collect_reports(&silent, true);
        if !answers.is_empty() {
            answers.extend(self.collect_reports(&others, false));
            self.find_outliers(&answers, &[silent, others].concat());
        }
        let mut state = self.state();
        state.tried = true;
        self.progress.notify_all();
        let is_complete =
            state.subscriptions.iter().all(|subscription| subscription.connection.is_some());
        let helper = self.runtime.running_helper().filter(|_| !is_complete);
        state.scheduled = helper.is_some();
        if let Some(helper) = helper {
            self.schedule(helper, RETRY);
        }
    }

    /// Asks these sentinels and waits for them. Each has a thread, so that one that does not
    /// answer holds up no other.
    fn collect_reports(
        &self,
        sentinels: &[(usize, Endpoint)],
        listen: bool,
    ) -> Vec<(usize, PrimaryReport)> {
        thread::scope(|scope| {
            let hear = |(index, sentinel)| {
                let hear = move || self.collect_report(index, sentinel, listen);
                thread::Builder::new().spawn_scoped(scope, hear).ok()
            };
            let sentinels = sentinels.iter().map(|(index, sentinel)| (*index, sentinel));
            let threads: Vec<_> = sentinels.filter_map(hear).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok().flatten()).collect()
        })
    }

    /// Asks that sentinel and waits for it. If we `listen` to it, it is heard from now on.
    fn collect_report(
        &self,
        index: usize,
        sentinel: &Endpoint,
        listen: bool,
    ) -> Option<(usize, PrimaryReport)> {
        let mut connection = sentinel.open().ok()?;
        let report = match listen {
            true => self.subscribe(&mut connection),
            false => request_report(&mut connection, &self.service),
        };
        let report = report.ok()?;
        let mut state = self.state();
        if let Some(report) = report.as_ref().filter(|report| report.changing) {
            state.initial_report = Some((index, report.clone()));
            self.progress.notify_all();
        }
        if let Some(subscription) = state.subscriptions.get_mut(index).filter(|_| listen) {
            subscription.unread.clear();
            subscription.connection = Some(connection);
        }
        report.map(|report| (index, report))
    }

    /// Finds out who is right, for which sentinels are asked again, and who does not even know the right primary as
    /// a replica: such a sentinel watches something else.
    fn find_outliers(&self, answers: &[(usize, PrimaryReport)], sentinels: &[(usize, Endpoint)]) {
        let sentinel = |index| sentinels.iter().find(|(other, _)| *other == index);
        let knows = |index: usize, address: &Address| {
            let connection = sentinel(index).and_then(|(_, sentinel)| sentinel.open().ok());
            let known =
                connection.map(|mut it| request_whether_replica(&mut it, &self.service, address));
            matches!(known, Some(Ok(true)))
        };
        let right = resolve(answers, sentinels.len(), knows);
        let Some((index, right)) = right.filter(|_| answers.len() * 2 > sentinels.len()) else {
            return;
        };
        for (index, report) in answers {
            let is_outlier = report.primary != right.primary && !knows(*index, &right.primary);
            if let Some(subscription) = self.state().subscriptions.get_mut(*index) {
                subscription.is_outlier = is_outlier;
            }
            if is_outlier {
                let sentinel = sentinel(*index).map(|(_, sentinel)| &sentinel.host().address);
                tracing::warn!(sentinel = sentinel.map(tracing::field::display),
                    names = %report.primary, others = %right.primary, "a sentinel disagrees");
            }
        }
        let mut state = self.state();
        if !state.initial_report.as_ref().is_some_and(|(_, report)| report.changing) {
            state.initial_report = Some((*index, right.clone()));
        }
    }

    /// Whether that sentinel watches something else than most do.
    pub(super) fn is_outlier(&self, index: usize) -> bool {
        self.state().subscriptions.get(index).is_some_and(|subscription| subscription.is_outlier)
    }

    /// Asks for the primary, and subscribes in the same round trip, so that no
    /// change falls between. The confirmations are read with the messages: in
    /// the second version of the protocol they are answers, in the third not.
    fn subscribe(&self, connection: &mut Connection) -> RedisResult<Option<PrimaryReport>> {
        let mut packed = Vec::new();
        let commands = report_commands(&self.service);
        commands.iter().for_each(|command| pack(&mut packed, command));
        let mut subscribe: Vec<&[u8]> = vec![b"SUBSCRIBE"];
        subscribe.extend(CHANNELS.map(str::as_bytes));
        pack(&mut packed, &subscribe);
        parse_report(connection.exchange(&packed, commands.len(), TIMEOUT)?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
