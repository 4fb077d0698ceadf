//! Finds the primary of a service through its sentinels.
//!
//! The answer is kept until an exchange with that server fails. A stale
//! answer does no harm: a server that was demoted says so at login.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{RedisResult, Value};

use crate::connections::Endpoint;
use crate::error::Error;
use crate::login::Role;
use crate::process::Process;
use crate::resp::garbage;
use crate::save_path::{self, Address};

/// The sentinels of one service, and the primary they named.
pub struct Sentinel {
    path: save_path::Sentinel,
    sentinels: Vec<Endpoint>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last one that was named; its connections are used again if it is
    /// named again.
    primary: Option<Arc<Endpoint>>,
    /// Whether it has failed since.
    failed: bool,
    /// Which sentinel named it. The next time another one is asked first, so
    /// that one with a wrong answer does no lasting harm.
    asked: usize,
}

impl Sentinel {
    /// Connects to nothing.
    pub fn new(path: save_path::Sentinel, process: &Process) -> Self {
        let sentinels = path.sentinels.iter();
        let sentinels =
            sentinels.map(|host| Endpoint::new(host.clone(), Role::Any, process)).collect();
        Self { path, sentinels, state: Mutex::default() }
    }

    /// The primary: the one that is known, or the one the sentinels name.
    ///
    /// # Errors
    /// [`Error::Connect`] tells what each sentinel said.
    pub fn primary(&self) -> Result<Arc<Endpoint>, Error> {
        let first = {
            let state = self.state();
            match &state.primary {
                Some(primary) if !state.failed => return Ok(primary.clone()),
                Some(_) => state.asked + 1,
                None => 0,
            }
        };
        let (asked, address) = self.ask(first)?;
        let mut state = self.state();
        state.asked = asked;
        state.failed = false;
        let known = state.primary.take().filter(|primary| primary.host().address == address);
        let primary = known.unwrap_or_else(|| {
            let host = self.path.server.at(address);
            Arc::new(Endpoint::new(host, Role::Primary, &Process::current()))
        });
        Ok(state.primary.insert(primary).clone())
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
        self.sentinels.iter().for_each(Endpoint::end_request);
        if let Some(primary) = self.known_primary() {
            primary.end_request();
        }
    }

    /// Asks one after another, from the one with the number `first` on. The
    /// first answer counts: a wrong one is found out at login.
    fn ask(&self, first: usize) -> Result<(usize, Address), Error> {
        let service = &self.path.service;
        let command: [&[u8]; 3] = [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service.as_bytes()];
        let mut reasons = Vec::new();
        let count = self.sentinels.len();
        for (index, sentinel) in
            self.sentinels.iter().enumerate().cycle().skip(first % count).take(count)
        {
            let host = &sentinel.host().address;
            match sentinel.run(|link| primary_address(link.call(&command)?)) {
                Ok(Some(address)) => return Ok((index, address)),
                Ok(None) => reasons.push(format!("{host} does not know the service {service}")),
                Err(trouble) => reasons.push(sentinel.failure(trouble).to_string()),
            }
        }
        Err(Error::Connect {
            host: format!("service {service}"),
            reason: format!("no sentinel names its primary: {}", reasons.join("; ")),
        })
    }
}

/// Host and port, or none where the service is not known.
fn primary_address(answer: Value) -> RedisResult<Option<Address>> {
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
