//! What a request on its way to a lock asks the server.

use std::time::Duration;

use super::{Acquisition, ENDLESS, MAX_CONFIRMATION, Request, SLICE, lives_for};
use crate::client::link::{ConnectionLike, WaitForReplicas};
use crate::config::settings::{LockPolicy, ReadOnly};
use crate::error::Error;
use crate::lock::scripts::{AcquireReply, Existence, ReceivedBaton, Scripts, WaiterState};
use crate::topology::{Backend, ReadRouting};

impl Acquisition {
    /// How we stand to the queue. One who waits is forgotten when it has not
    /// looked in time, or its patience is over.
    pub(super) fn standing(&self, backend: &Backend, policy: &LockPolicy) -> WaiterState<'_> {
        let lasts = lives_for(backend, policy).min(self.left(policy).saturating_add(SLICE));
        match (&self.ticket, self.request.wanted) {
            (Some(ticket), _) => WaiterState::Waiting { ticket, lasts, in_line: self.in_line },
            (None, Existence::Unused) => WaiterState::NotWaiting,
            (None, Existence::Any | Existence::Known) => {
                WaiterState::Joining { lasts, most: policy.max_waiters }
            }
        }
    }

    /// How much longer we will wait.
    pub(super) fn left(&self, policy: &LockPolicy) -> Duration {
        let waited = self.started.elapsed();
        policy.patience.map_or(ENDLESS, |patience| patience.saturating_sub(waited))
    }

    pub(super) fn ask(
        &self,
        backend: &Backend,
        policy: &LockPolicy,
    ) -> Result<AcquireReply, Error> {
        let Request { location, token, wanted, read_only, refresh, failover, .. } = &self.request;
        let (keys, standing) = (&location.keys, self.standing(backend, policy));
        backend.run(location, ReadRouting::Primary, *failover, |link| match read_only {
            ReadOnly::No => {
                let mut link = self.confirmed(link);
                Scripts(&mut link).acquire(keys, token, policy.lease, *refresh, *wanted, standing)
            }
            ReadOnly::Wait | ReadOnly::NoWait => {
                Scripts(link).peek(keys, token, *refresh, *wanted, standing, b"")
            }
        })
    }

    pub(super) fn claim(
        &self,
        backend: &Backend,
        policy: &LockPolicy,
        baton: &[u8],
    ) -> Result<AcquireReply, Error> {
        let Request { location, token, wanted, read_only, refresh, failover, .. } = &self.request;
        let (keys, standing) = (&location.keys, self.standing(backend, policy));
        backend.run(location, ReadRouting::Primary, *failover, |link| match read_only {
            ReadOnly::No => {
                let (mut link, lease) = (self.confirmed(link), policy.lease);
                let mut scripts = Scripts(&mut link);
                scripts.claim(
                    keys,
                    token,
                    lease,
                    *refresh,
                    *wanted,
                    ReceivedBaton { waiter: standing, baton },
                )
            }
            ReadOnly::Wait | ReadOnly::NoWait => {
                Scripts(link).peek(keys, token, *refresh, *wanted, standing, baton)
            }
        })
    }

    /// `link`, on which the lock is on the replicas too before it counts.
    fn confirmed<'a>(&self, link: &'a mut dyn ConnectionLike) -> WaitForReplicas<'a> {
        let replicas = self.request.replicas;
        WaitForReplicas {
            link,
            replicas,
            limit: Some(MAX_CONFIRMATION),
            confirmed: 0,
            refusal: None,
        }
    }
}
