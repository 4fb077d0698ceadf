//! What a request on its way to a lock asks the server.

use std::time::Duration;

use super::{ENDLESS, MAX_CONFIRMATION, Queue, Request, SLICE, lives_for};
use crate::client::link::{Confirmed, Link};
use crate::config::settings::{LockPolicy, ReadOnly};
use crate::error::Error;
use crate::lock::scripts::{Given, Scripts, Standing, Turn, Wanted};
use crate::topology::{Access, Target};

impl Queue {
    /// How we stand to the queue. One who waits is forgotten when it has not
    /// looked in time, or its patience is over.
    pub(super) fn standing(&self, target: &Target, policy: &LockPolicy) -> Standing<'_> {
        let lasts = lives_for(target, policy).min(self.left(policy).saturating_add(SLICE));
        match (&self.ticket, self.request.wanted) {
            (Some(ticket), _) => Standing::Inside { ticket, lasts, in_line: self.in_line },
            (None, Wanted::Unused) => Standing::Outside,
            (None, Wanted::Any | Wanted::Known) => {
                Standing::Joining { lasts, most: policy.max_waiters }
            }
        }
    }

    /// How much longer we will wait.
    pub(super) fn left(&self, policy: &LockPolicy) -> Duration {
        let waited = self.started.elapsed();
        policy.patience.map_or(ENDLESS, |patience| patience.saturating_sub(waited))
    }

    pub(super) fn ask(&self, target: &Target, policy: &LockPolicy) -> Result<Turn, Error> {
        let Request { place, token, wanted, read_only, refresh, failover, .. } = &self.request;
        let (keys, standing) = (&place.keys, self.standing(target, policy));
        target.run(place, Access::Primary, *failover, |link| match read_only {
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
        target: &Target,
        policy: &LockPolicy,
        baton: &[u8],
    ) -> Result<Turn, Error> {
        let Request { place, token, wanted, read_only, refresh, failover, .. } = &self.request;
        let (keys, standing) = (&place.keys, self.standing(target, policy));
        target.run(place, Access::Primary, *failover, |link| match read_only {
            ReadOnly::No => {
                let (mut link, lease) = (self.confirmed(link), policy.lease);
                let mut scripts = Scripts(&mut link);
                scripts.claim(keys, token, lease, *refresh, *wanted, Given { standing, baton })
            }
            ReadOnly::Wait | ReadOnly::NoWait => {
                Scripts(link).peek(keys, token, *refresh, *wanted, standing, baton)
            }
        })
    }

    /// `link`, on which the lock is on the replicas too before it counts.
    fn confirmed<'a>(&self, link: &'a mut dyn Link) -> Confirmed<'a> {
        let replicas = self.request.replicas;
        Confirmed { link, replicas, limit: Some(MAX_CONFIRMATION), confirmed: 0, refusal: None }
    }
}
