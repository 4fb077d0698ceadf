//! What a topology is to the rest: one trait, and the values it is asked with.
//!
//! To add a topology: a form of the save path, a variant of [`Shard`], an
//! implementation of [`Topology`] in a file beside this one, and an arm of
//! `Backend::new`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::endpoint::{AttemptError, Endpoint};
use crate::error::Error;
use crate::key::{Keys, Sid};

/// Where sessions are, how they are reached, and what to do when that failed.
///
/// Each request calls `locate` once for each session, and each exchange calls
/// `find_server` and `confirm_still_serves`: while nothing changes, those three
/// ask no server and wait for nothing but a mutex. `decide` follows failures
/// only. Where a method may ask servers and wait for them, its first sentence
/// says so; those waits end with the servers' own timeouts and with
/// [`within`](crate::runtime::deadline::within).
pub(super) trait Topology: Send + Sync {
    /// The keys and the shard of `sid`. Asks no one.
    ///
    /// # Errors
    /// [`Error::Sid`]: this topology cannot keep the keys together.
    fn locate(&self, sid: Sid<'_>) -> Result<SessionLocation, Error>;

    /// The server for exchanges of this kind. Where it is not known, asks other
    /// servers for it and waits for them.
    ///
    /// # Errors
    /// [`Error::Connect`]: no one knows. Asked again later, someone may.
    fn find_server(
        &self,
        location: &SessionLocation,
        routing: ReadRouting,
    ) -> Result<Arc<Endpoint>, Error>;

    /// The server that is taken for the primary now, if there is one. Asks no
    /// one.
    fn known_server(&self, location: &SessionLocation) -> Option<Arc<Endpoint>>;

    /// What to do after the exchange with `failed` ended with `error`. May ask
    /// servers and wait for them; remembers what the failure tells.
    fn decide(
        &self,
        location: &SessionLocation,
        routing: ReadRouting,
        failed: &Arc<Endpoint>,
        error: &AttemptError,
    ) -> RetryDecision;

    /// Checks that what `server` has just answered counts; it was found before
    /// `found_at`. May ask other servers and wait for them.
    ///
    /// # Errors
    /// [`Error::Connect`]: it does not, since another server takes its place.
    fn confirm_still_serves(
        &self,
        _server: &Arc<Endpoint>,
        _found_at: Instant,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// Who named the server of `location`: the end of the message that it cannot
    /// be reached. Asks no one.
    fn blame(&self, _location: &SessionLocation) -> String {
        String::new()
    }

    /// Whether a session may be served by another server later.
    fn is_changing(&self) -> bool {
        true
    }

    /// Whether this is a Redis Cluster.
    fn is_cluster(&self) -> bool {
        false
    }

    /// How often another server has become a primary, as far as that is told
    /// without asking anyone.
    fn changes(&self) -> u64 {
        0
    }

    /// The shortest pause between two attempts that the save path wants.
    fn retry_interval(&self) -> Duration;

    /// Closes the connections that are not to outlive a request.
    fn end_request(&self);
}

/// Where a session belongs. Means something to the backend that made it.
#[derive(Clone)]
pub struct SessionLocation {
    /// Its keys, made once and shared.
    pub keys: Arc<Keys>,
    pub(super) shard: Shard,
}

/// The part of a topology that a session is on.
#[derive(Clone, Copy)]
pub(super) enum Shard {
    /// One of several servers: its number in the save path, from 0.
    Server(usize),
    /// Whichever server is the primary.
    Primary,
    /// A slot of a cluster.
    Slot(u16),
}

/// What may be asked of more servers than the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadRouting {
    /// Something that only the primary can do.
    Primary,
    /// A plain read, which the save path may allow replicas to answer.
    Read,
    /// A wait for something that is still to come.
    Wait,
}

/// Where to try again.
pub(super) enum RetryDecision {
    /// Where the session is said to be now; soon, or after a pause.
    Elsewhere {
        /// Whether nothing has to settle first.
        at_once: bool,
    },
    /// Once on this server instead, and only then in general.
    Once(Arc<Endpoint>),
    /// Once where the name of this server leads now.
    Renamed,
    /// Nowhere: the answer is final.
    Nowhere,
}
