//! Waiting for a turn: a BLPOP in the server's queue, and heartbeats meanwhile.

use std::io;
use std::time::{Duration, Instant};

use redis::{RedisError, RedisResult, Value};

use super::blocked_pop::BlockedPop;
use super::timing::{MARGIN, MIN_WAIT, YIELD, next_heartbeat, time_until};
use super::{Acquisition, Request, Wait};
use crate::client::endpoint::AttemptError;
use crate::client::resp::protocol_error;
use crate::config::settings::LockPolicy;
use crate::error::{Error, answered_code, reason, was_closed};
use crate::lock::scripts::{AcquireReply, Existence, Scripts};
use crate::lock::token::Holder;
use crate::runtime::wait_limits::WaitLimit;
use crate::topology::{Backend, ReadRouting, has_moved};

/// A connection that ends so soon after BLPOP was sent may have been closed
/// because of it, as some proxies do.
const AT_ONCE: Duration = Duration::from_secs(1);

impl Acquisition {
    /// Blocks until BLPOP is answered, the slice ends, or a heartbeat is due.
    pub(super) fn await_turn(
        &mut self,
        backend: &Backend,
        policy: &LockPolicy,
        mut pop: Box<BlockedPop>,
        slice_ends: Instant,
    ) -> Result<Option<AcquireReply>, Error> {
        let poll_timeout = time_until(slice_ends.min(pop.next_heartbeat));
        match pop.connection.receive(poll_timeout) {
            Ok(None) if Instant::now() >= pop.due => {
                self.request_after_failure(backend, policy, no_answer()).map(Some)
            }
            Ok(None) if Instant::now() >= pop.next_heartbeat => {
                self.heartbeat(backend, policy, pop)
            }
            Ok(None) => {
                self.wait = Some(Wait::Blocked(pop));
                Ok(None)
            }
            Ok(Some(answer)) => match baton(answer) {
                Ok(baton) => {
                    drop(pop); // its connection carries the claim
                    self.claim_turn(backend, policy, baton)
                }
                Err(error) => {
                    let BlockedPop { connection, .. } = *pop;
                    connection.discard();
                    Err(self.failure(backend, &error))
                }
            },
            Err(error) => {
                if self.record_limit(backend, &pop, &error) {
                    self.in_line = false;
                    return self.acquire_or_read(backend, policy).map(Some);
                }
                self.request_after_failure(backend, policy, error).map(Some)
            }
        }
    }

    /// Claims the lock with the baton that BLPOP returned, or requests it once
    /// more if there was none in time. Lets those go first that came before us.
    fn claim_turn(
        &mut self,
        backend: &Backend,
        policy: &LockPolicy,
        baton: Option<Vec<u8>>,
    ) -> Result<Option<AcquireReply>, Error> {
        self.in_line = false; // unless it is our turn now
        let Some(baton) = baton else { return self.acquire_or_read(backend, policy).map(Some) };
        let reply = self.claim(backend, policy, &baton)?;
        let AcquireReply::Busy { holder, ticket, .. } = &reply else { return Ok(Some(reply)) };
        if Holder::of(holder) != Holder::Next {
            return Ok(Some(reply));
        }
        // It is for one that came before us.
        self.ticket = ticket.clone().or(self.ticket.take());
        self.wait = Some(Wait::Until(Instant::now() + YIELD));
        Ok(None)
    }

    /// Records that a wait failed because the server does not support it.
    /// Returns whether it did.
    fn record_limit(&mut self, backend: &Backend, pop: &BlockedPop, error: &RedisError) -> bool {
        let Some(limit) = limit_shown_by(error, pop.sent) else { return false };
        if was_closed(error) {
            // By chance, unless it happens again.
            self.closed_waits += 1;
            if self.closed_waits < 2 || backend.is_changing() {
                return false;
            }
        }
        backend.wait_limits().record(&pop.server, limit, &reason(error));
        true
    }

    /// Shows that we live, and checks who has the lock, in one round trip. Goes
    /// on waiting with the same BLPOP, unless another server has the session now.
    fn heartbeat(
        &mut self,
        backend: &Backend,
        policy: &LockPolicy,
        mut pop: Box<BlockedPop>,
    ) -> Result<Option<AcquireReply>, Error> {
        let left = self.remaining_wait(policy);
        if pop.ends_late && left.is_zero() {
            return self.acquire_or_read(backend, policy).map(Some);
        }
        let Request { location, token, failover, .. } = &self.request;
        let waiter = self.waiter(backend, policy);
        let reply = backend.run(location, ReadRouting::Primary, *failover, |connection| {
            Scripts(connection).heartbeat(&location.keys, token, waiter)
        });
        match reply {
            // A server that does not answer a new connection does not answer ours.
            Err(Error::Connect { .. }) if !backend.is_changing() => {
                Err(self.failure(backend, &no_answer()))
            }
            Err(error) => Err(error),
            Ok(AcquireReply::Busy { expires, holder, .. })
                if pop.server == backend.name(location) =>
            {
                let holder = Holder::of(&holder);
                pop.next_heartbeat = next_heartbeat(backend, policy, expires, &holder);
                if pop.ends_late {
                    pop.next_heartbeat = pop.next_heartbeat.min(Instant::now() + left);
                }
                self.wait = Some(Wait::Blocked(pop));
                Ok(None)
            }
            Ok(_) => {
                self.in_line = false;
                Ok(None) // its connection is closed, and the lock requested again
            }
        }
    }

    /// Requests the lock again after a wait failed with `error`, if another
    /// server may have the session now.
    fn request_after_failure(
        &mut self,
        backend: &Backend,
        policy: &LockPolicy,
        error: RedisError,
    ) -> Result<AcquireReply, Error> {
        self.in_line = false;
        let was_timeout = error.is_timeout();
        let failure = AttemptError::Exchange(error);
        if has_moved(&failure) && (backend.is_changing() || !was_timeout) {
            return self.acquire_or_read(backend, policy);
        }
        match failure {
            AttemptError::Exchange(error) => Err(self.failure(backend, &error)),
            AttemptError::Connect(error) => Err(error),
        }
    }

    fn failure(&self, backend: &Backend, error: &RedisError) -> Error {
        Error::from_server(backend.name(&self.request.location), error)
    }

    /// Sends BLPOP for as long as we wait; or sets the time of the next request,
    /// where the lock can only be polled. Gives up if the time is over.
    pub(super) fn start_waiting(
        &mut self,
        backend: &Backend,
        policy: &LockPolicy,
        expires: Option<Duration>,
        holder: &[u8],
    ) -> Result<(), Error> {
        let left = self.remaining_wait(policy);
        let holder = Holder::of(holder);
        if left.is_zero() || self.request.wanted == Existence::Unused {
            self.leave(backend);
            return Err(Error::Busy { holder: holder.to_string(), waited: self.started.elapsed() });
        }
        let (server, limits) = (backend.name(&self.request.location), backend.wait_limits());
        if self.ticket.is_none() {
            limits.record(
                &server,
                WaitLimit::NoQueue,
                "its scripts may not run the commands of the queue",
            );
        }
        let must_poll = holder == Holder::Foreign || limits.has(&server, WaitLimit::NoQueue);
        let permit =
            if must_poll { None } else { limits.permit(&server, backend.max_connections()) };
        let Some(permit) = permit else {
            let expires = expires.map_or(left, |expires| expires + MARGIN);
            let pause = left.min(expires).min(policy.poll);
            self.in_line = false; // who polls queues up later than its ticket says
            self.wait = Some(Wait::Until(Instant::now() + pause));
            return Ok(());
        };
        let mut time = left.max(MIN_WAIT);
        let ends_late = limits.has(&server, WaitLimit::WholeSeconds);
        if ends_late {
            time = Duration::from_secs(time.as_secs() + 1);
        }
        let Request { location, failover, .. } = &self.request;
        let seconds = blpop_timeout(time);
        let command: [&[u8]; 3] = [b"BLPOP", &location.keys.baton, seconds.as_bytes()];
        let connection = backend.send(location, *failover, &command)?;
        let sent = Instant::now();
        let due = sent + time + connection.read_timeout();
        let server = backend.name(location);
        let regular = next_heartbeat(backend, policy, expires, &holder);
        let next_heartbeat = if ends_late { regular.min(sent + left) } else { regular };
        let _permit = permit;
        let pop = BlockedPop { connection, server, sent, _permit, ends_late, due, next_heartbeat };
        self.wait = Some(Wait::Blocked(Box::new(pop)));
        Ok(())
    }
}

/// Seconds as BLPOP takes them: servers before Redis 6.0 take whole ones only.
fn blpop_timeout(time: Duration) -> String {
    match time.subsec_nanos() {
        0 => time.as_secs().to_string(),
        _ => format!("{:.3}", time.as_secs_f64()),
    }
}

/// What an `error` in answer to BLPOP, sent at `sent`, shows about the server.
fn limit_shown_by(error: &RedisError, sent: Instant) -> Option<WaitLimit> {
    if was_closed(error) {
        return (sent.elapsed() < AT_ONCE).then_some(WaitLimit::NoQueue);
    }
    match answered_code(error) {
        Some("ERR") if reason(error).contains("timeout is not") => Some(WaitLimit::WholeSeconds),
        Some("ERR" | "NOPERM") => Some(WaitLimit::NoQueue),
        _ => None,
    }
}

fn no_answer() -> RedisError {
    io::Error::new(io::ErrorKind::TimedOut, "the server did not end a blocking wait in time").into()
}

/// The baton in an answer to BLPOP, which is key and value; none if there was
/// none in time.
fn baton(answer: Value) -> RedisResult<Option<Vec<u8>>> {
    match answer {
        Value::Nil => Ok(None),
        Value::Array(pair) => match <[Value; 2]>::try_from(pair) {
            Ok([_, Value::BulkString(baton)]) => Ok(Some(baton)),
            _ => Err(protocol_error("an unexpected answer to BLPOP")),
        },
        _ => Err(protocol_error("an unexpected answer to BLPOP")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> RedisError {
        match redis::parse_redis_value(line.as_bytes()).unwrap() {
            redis::Value::ServerError(error) => error.into(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_servers_say_to_a_wait_tells_what_they_do_not_do() {
        let shown = |line| limit_shown_by(&error(line), Instant::now());
        let whole = "-ERR timeout is not an integer or out of range\r\n";
        assert_eq!(shown(whole), Some(WaitLimit::WholeSeconds));
        for line in ["-ERR unknown command 'BLPOP'\r\n", "-NOPERM no permissions\r\n"] {
            assert_eq!(shown(line), Some(WaitLimit::NoQueue), "{line}");
        }
        for line in ["-UNBLOCKED force unblock\r\n", "-MOVED 1 a:1\r\n", "-LOADING data\r\n"] {
            assert_eq!(shown(line), None, "{line}");
        }
    }
}
