//! The locks of one save path: where they are kept, who renews them, and which
//! were released lately.

use std::sync::Arc;

use crate::client::pools::Pools;
use crate::config::save_path::SavePath;
use crate::config::settings::{LockPolicy, Ttl};
use crate::lock::held::HeldLock;
use crate::lock::released::ReleasedLocks;
use crate::lock::renewal::LockRenewer;
use crate::lock::token::Token;
use crate::topology::{Backend, SessionLocation};

/// What a request needs to lock the sessions of one save path.
pub struct Locks {
    /// The servers they are kept on.
    pub backend: Arc<Backend>,
    released: Arc<ReleasedLocks>,
    renewer: Arc<LockRenewer>,
}

impl Locks {
    /// Connects to nothing, and starts nothing.
    pub fn new(path: SavePath, pools: &Arc<Pools>, renewer: Arc<LockRenewer>) -> Self {
        let released = Arc::new(ReleasedLocks::new(pools.runtime().clone()));
        let backend = Arc::new(Backend::new(path, pools, released.clone()));
        Self { backend, released, renewer }
    }

    /// The lock of the session at `location`, which was just acquired with `token`. It is renewed for
    /// as long as the result lives, if it or the session may end before the
    /// request does; then this may start the helper thread.
    pub fn hold(
        &self,
        location: SessionLocation,
        token: Token,
        policy: &LockPolicy,
        ttl: Ttl,
    ) -> Arc<HeldLock> {
        let server = self.backend.name(&location);
        let held = Arc::new(HeldLock {
            location,
            token,
            lease: policy.lease,
            renewed: policy.renewed,
            ttl,
            backend: self.backend.clone(),
            released: self.released.clone(),
            server,
        });
        if held.needs_care() {
            self.renewer.keep(&held);
        }
        held
    }
}
