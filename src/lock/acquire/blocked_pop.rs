//! A place in the server's queue.

use std::time::Instant;

use crate::client::endpoint::PooledConnection;
use crate::runtime::wait_limits::WaitPermit;

/// A BLPOP that is not answered yet.
pub(super) struct BlockedPop {
    pub(super) connection: PooledConnection,
    pub(super) server: String,
    pub(super) sent: Instant,
    pub(super) _permit: WaitPermit,
    /// Whether the server ends it later than the time to wait.
    pub(super) ends_late: bool,
    /// When the answer must be there.
    pub(super) due: Instant,
    pub(super) next_heartbeat: Instant,
}
