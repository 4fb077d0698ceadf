//! A lock that this process holds.

use std::sync::Arc;
use std::time::Duration;

use crate::config::settings::Ttl;
use crate::error::Error;
use crate::lock::released::ReleasedLocks;
use crate::lock::scripts::{LockedOutcome, Scripts};
use crate::lock::token::Token;
use crate::runtime::deadline;
use crate::topology::{Backend, ReadRouting, SessionLocation};

/// A lock that this process holds.
pub struct HeldLock {
    /// Where the session is that it is for.
    pub location: SessionLocation,
    /// The lock's value while it is ours.
    pub token: Token,
    /// When it ends by itself.
    pub lease: Duration,
    /// Whether its lease starts again while the request lives.
    pub renewed: bool,
    /// The session's time to live.
    pub ttl: Ttl,
    /// The servers it is kept on.
    pub backend: Arc<Backend>,
    /// Where its release is remembered.
    pub(super) released: Arc<ReleasedLocks>,
    /// The one that gave it.
    pub server: String,
}

impl HeldLock {
    /// Whether it, or its session, may end before the request does.
    pub(super) fn needs_care(&self) -> bool {
        // A read leaves a session at least this much time.
        self.renewed || self.lease > self.ttl.short()
    }

    /// How often it is looked after, and how long that may take.
    pub(super) fn period(&self) -> Duration {
        // It is kept when half of its time is over, which must be seen in time.
        let session = (self.ttl.short() / 2).min(Duration::from(self.ttl) / 3);
        if self.renewed { session.min(self.lease / 3) } else { session }
    }

    /// Starts the lease again. Finding the server, connecting, login and the
    /// answer take no longer than until the next time. A failure is not
    /// repeated here, as other locks have their turn first.
    pub(super) fn renew(&self) -> Result<LockedOutcome, Error> {
        deadline::within(self.period(), || {
            self.backend.run(&self.location, ReadRouting::Primary, Duration::ZERO, |connection| {
                let lease = self.renewed.then_some(self.lease);
                Scripts(connection).renew(&self.location.keys, &self.token, lease, self.ttl)
            })
        })
    }

    /// It was released, at the server that gave it or its successor. Where servers
    /// change places, that is repeated at a new primary.
    pub fn was_released(&self) {
        if self.backend.is_changing() {
            let Self { location, token, server, lease, .. } = self;
            self.released.remember(location.clone(), token.clone(), server.clone(), *lease);
            self.released.watch(&self.backend);
        }
    }
}
