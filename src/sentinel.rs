//! Finds the primary of a service through its sentinels.
//!
//! The answer is kept until an exchange with that server fails, or the
//! sentinels say that another one takes its place. A stale answer does no
//! harm: a server that was demoted says so at login.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::{RedisResult, Value};

use crate::connections::Endpoint;
use crate::error::Error;
use crate::login::Role;
use crate::process::Process;
use crate::resp::garbage;
use crate::save_path::{self, Address, Host};
use crate::watch::{News, Watch};

/// Longest time that the promotion of a replica is waited for.
const PROMOTION: Duration = Duration::from_secs(3);

/// The sentinels of one service, and the primary they named.
pub struct Sentinel {
    path: save_path::Sentinel,
    sentinels: Vec<Arc<Endpoint>>,
    watch: Arc<Watch>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last one that was named; its connections are used again if it is
    /// named again.
    primary: Option<Arc<Endpoint>>,
    /// Whether it has failed since, or is being replaced.
    failed: bool,
    /// Until when it is not to be used although it is named: another one is
    /// being made the primary.
    leaving: Option<Instant>,
    /// Which sentinel named it. The next time another one is asked first, so
    /// that one with a wrong answer does no lasting harm.
    asked: usize,
}

impl Sentinel {
    /// Connects to nothing.
    pub fn new(path: save_path::Sentinel, process: &Process) -> Self {
        let endpoint = |host: &Host| Arc::new(Endpoint::new(host.clone(), Role::Any, process));
        let sentinels: Vec<_> = path.sentinels.iter().map(endpoint).collect();
        let watch = Arc::new(Watch::new(&path.service, &sentinels));
        Self { path, sentinels, watch, state: Mutex::default() }
    }

    /// The primary: the one that is known, or the one the sentinels name.
    ///
    /// # Errors
    /// [`Error::Connect`] tells what each sentinel said.
    pub fn primary(&self) -> Result<Arc<Endpoint>, Error> {
        let first = match self.heard() {
            Ok(primary) => return Ok(primary),
            Err(first) => first,
        };
        let (asked, address) = self.ask(first, self.failed())?;
        let process = Process::current();
        if self.path.server.persistent {
            self.watch.set_up(&process);
        }
        let mut state = self.state();
        state.asked = asked;
        let known = state.primary.take().filter(|primary| primary.host().address == address);
        let is_leaving = state.leaving.is_some_and(|until| Instant::now() < until);
        if let Some(leaving) = known.as_ref().filter(|_| is_leaving) {
            let error = replaced(leaving);
            state.primary = known;
            return Err(error);
        }
        state.failed = false;
        state.leaving = None;
        let primary = known.unwrap_or_else(|| {
            let host = self.path.server.at(address);
            Arc::new(Endpoint::new(host, Role::Primary, &process))
        });
        Ok(state.primary.insert(primary).clone())
    }

    /// The primary that is known, unless there is reason to ask: then the
    /// number of the sentinel to begin with, which is the one with the news.
    fn heard(&self) -> Result<Arc<Endpoint>, usize> {
        let mut state = self.state();
        let Some(primary) = state.primary.clone() else { return Err(0) };
        match self.watch.news(&primary.host().address) {
            Some((sentinel, news)) => {
                state.failed = true;
                if news == News::Changing {
                    state.leaving = Some(Instant::now() + PROMOTION);
                }
                Err(sentinel)
            }
            None if state.failed => Err(state.asked + 1),
            None => Ok(primary),
        }
    }

    /// The primary that has failed, where one has.
    fn failed(&self) -> Option<Address> {
        let state = self.state();
        let failed = state.primary.as_ref().filter(|_| state.failed);
        failed.map(|primary| primary.host().address.clone())
    }

    /// The primary, if it is known.
    pub fn known_primary(&self) -> Option<Arc<Endpoint>> {
        self.state().primary.clone()
    }

    /// Asks the sentinels again, next time, unless somebody has already.
    pub fn forget(&self, failed: &Arc<Endpoint>) {
        let mut state = self.state();
        state.failed |= state.primary.as_ref().is_some_and(|known| Arc::ptr_eq(known, failed));
    }

    /// Who named the primary, for the message when it is none.
    pub fn blame(&self) -> String {
        let asked = self.state().asked;
        let sentinel = self.sentinels.get(asked).map(|sentinel| &sentinel.host().address);
        sentinel.map_or_else(String::new, |name| format!("; it was named by sentinel {name}"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the connections that are not to outlive a request.
    pub fn end_request(&self) {
        self.sentinels.iter().for_each(|sentinel| sentinel.end_request());
        if let Some(primary) = self.known_primary() {
            primary.end_request();
        }
        if !self.path.server.persistent {
            *self.state() = State::default(); // nobody listens: ask each time
        }
    }

    /// Asks one after another, from the one with the number `first` on; last
    /// those that disagreed with the others. The first answer counts: a wrong
    /// one is found out at login. Only one that still names the server that
    /// has `failed` may be behind the others.
    fn ask(&self, first: usize, failed: Option<Address>) -> Result<(usize, Address), Error> {
        let service = &self.path.service;
        let command = question(service);
        let mut reasons = Vec::new();
        let mut unchanged = None;
        let count = self.sentinels.len();
        let mut sentinels: Vec<_> =
            self.sentinels.iter().enumerate().cycle().skip(first % count).take(count).collect();
        sentinels.sort_by_key(|(index, _)| self.watch.is_odd(*index));
        for (index, sentinel) in sentinels {
            if unchanged.is_some() && self.watch.is_odd(index) {
                break;
            }
            let host = &sentinel.host().address;
            match sentinel.run(|link| primary_address(link.call(&command)?)) {
                Ok(Some(address)) if Some(&address) == failed.as_ref() => {
                    unchanged = unchanged.or(Some((index, address)));
                }
                Ok(Some(address)) => return Ok((index, address)),
                Ok(None) => reasons.push(format!("{host} does not know the service {service}")),
                Err(trouble) => reasons.push(sentinel.failure(trouble).in_short()),
            }
        }
        unchanged.ok_or_else(|| Error::Connect {
            host: format!("service {service}"),
            reason: format!("no sentinel names its primary: {}", reasons.join("; ")),
        })
    }
}

/// The failure of using a primary that is about to be none.
pub fn replaced(primary: &Endpoint) -> Error {
    let host = primary.host().address.to_string();
    Error::Connect { host, reason: "it is being replaced as the primary".to_owned() }
}

/// Asks who is the primary of `service`.
pub fn question(service: &str) -> [&[u8]; 3] {
    [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service.as_bytes()]
}

/// Host and port, or none where the service is not known.
///
/// # Errors
/// The answer is something else.
pub fn primary_address(answer: Value) -> RedisResult<Option<Address>> {
    let wrong = || garbage("no address of a primary");
    let pair = match answer {
        Value::Nil => return Ok(None),
        Value::Array(pair) => <[Value; 2]>::try_from(pair).map_err(|_| wrong())?,
        _ => return Err(wrong()),
    };
    let [Value::BulkString(host), Value::BulkString(port)] = pair else { return Err(wrong()) };
    let host = String::from_utf8_lossy(&host).into_owned();
    let port = String::from_utf8_lossy(&port).parse().ok().filter(|port| *port != 0);
    port.map(|port| Some(Address::Tcp { host, port })).ok_or_else(wrong)
}
