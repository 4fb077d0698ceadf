//! The locks of one save path: where they are kept, who renews them, and which
//! were released lately.

use std::sync::Arc;

use crate::client::pools::Pools;
use crate::config::save_path::SavePath;
use crate::lock::released::{self, Released};
use crate::lock::renewal::{HeldLock, LockRenewer};
use crate::runtime::Runtime;
use crate::topology::Backend;

/// What a request needs to lock the sessions of one save path.
pub struct Locks {
    /// The servers they are kept on.
    pub backend: Arc<Backend>,
    pub(super) released: Arc<Released>,
    pub(super) runtime: Arc<Runtime>,
    renewer: Arc<LockRenewer>,
}

impl Locks {
    /// Connects to nothing, and starts nothing.
    pub fn new(path: SavePath, pools: &Arc<Pools>, renewer: Arc<LockRenewer>) -> Self {
        let released = Arc::new(Released::default());
        let backend = Arc::new(Backend::new(path, pools, released.clone()));
        Self { backend, released, runtime: pools.runtime().clone(), renewer }
    }

    /// Renews `held` for as long as somebody keeps it. May start the helper
    /// thread.
    pub fn keep(&self, held: &Arc<HeldLock>) {
        self.renewer.keep(held);
    }

    /// A lock was released, at the server that `held` it or its successor. Where
    /// servers change places, that is repeated at a new primary.
    pub fn has_released(self: &Arc<Self>, held: &HeldLock) {
        if self.backend.is_changing() {
            let HeldLock { location, token, server, lease, .. } = held;
            self.released.remember(location.clone(), token.clone(), server.clone(), *lease);
            released::watch_over(self);
        }
    }
}
