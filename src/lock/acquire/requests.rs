//! What is sent to take the lock, or to read without it.

use std::time::Duration;

use super::timing::{ENDLESS, MAX_CONFIRMATION, SLICE, waiter_lifetime};
use super::{Acquisition, Request};
use crate::client::connection_like::{ConnectionLike, WaitForReplicas};
use crate::config::settings::{LockPolicy, ReadOnly};
use crate::error::Error;
use crate::lock::scripts::{AcquireReply, Existence, ReceivedBaton, Scripts, WaiterState};
use crate::topology::{Backend, ReadRouting};

impl Acquisition {
    /// Our state in the queue. A waiter is forgotten when its heartbeat does not
    /// come, or its time to wait is over.
    pub(super) fn waiter(&self, backend: &Backend, policy: &LockPolicy) -> WaiterState<'_> {
        let remaining = self.remaining_wait(policy).saturating_add(SLICE);
        let expires_after = waiter_lifetime(backend, policy).min(remaining);
        match (&self.ticket, self.request.wanted) {
            (Some(ticket), _) => {
                WaiterState::Waiting { ticket, expires_after, in_line: self.in_line }
            }
            (None, Existence::Unused) => WaiterState::NotWaiting,
            (None, Existence::Any | Existence::Known) => {
                WaiterState::Joining { expires_after, max_waiters: policy.max_waiters }
            }
        }
    }

    /// How much longer we wait for the lock.
    pub(super) fn remaining_wait(&self, policy: &LockPolicy) -> Duration {
        let waited = self.started.elapsed();
        policy.lock_wait.map_or(ENDLESS, |lock_wait| lock_wait.saturating_sub(waited))
    }

    /// Takes the lock and reads, or only reads; joins the queue where the lock is
    /// busy. Blocks for one round trip.
    pub(super) fn acquire_or_read(
        &self,
        backend: &Backend,
        policy: &LockPolicy,
    ) -> Result<AcquireReply, Error> {
        let Request { location, token, wanted, read_only, refresh, failover, .. } = &self.request;
        let (keys, waiter) = (&location.keys, self.waiter(backend, policy));
        backend.run(location, ReadRouting::Primary, *failover, |connection| match read_only {
            ReadOnly::No => {
                let mut connection = self.on_replicas(connection);
                Scripts(&mut connection).acquire(
                    keys,
                    token,
                    policy.lease,
                    *refresh,
                    *wanted,
                    waiter,
                )
            }
            ReadOnly::Wait | ReadOnly::NoWait => {
                Scripts(connection).peek(keys, token, *refresh, *wanted, waiter, b"")
            }
        })
    }

    /// The same with the `baton` that BLPOP returned.
    pub(super) fn claim(
        &self,
        backend: &Backend,
        policy: &LockPolicy,
        baton: &[u8],
    ) -> Result<AcquireReply, Error> {
        let Request { location, token, wanted, read_only, refresh, failover, .. } = &self.request;
        let (keys, waiter) = (&location.keys, self.waiter(backend, policy));
        backend.run(location, ReadRouting::Primary, *failover, |connection| match read_only {
            ReadOnly::No => {
                let (mut connection, lease) = (self.on_replicas(connection), policy.lease);
                let mut scripts = Scripts(&mut connection);
                scripts.claim(
                    keys,
                    token,
                    lease,
                    *refresh,
                    *wanted,
                    ReceivedBaton { waiter, baton },
                )
            }
            ReadOnly::Wait | ReadOnly::NoWait => {
                Scripts(connection).peek(keys, token, *refresh, *wanted, waiter, baton)
            }
        })
    }

    /// `connection`, on which a lock counts only once the replicas have it too.
    fn on_replicas<'a>(&self, connection: &'a mut dyn ConnectionLike) -> WaitForReplicas<'a> {
        let replicas = self.request.replicas;
        WaitForReplicas {
            connection,
            replicas,
            limit: Some(MAX_CONFIRMATION),
            confirmed: 0,
            refusal: None,
        }
    }
}
