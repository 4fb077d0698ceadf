//! `redis-sentinel://`: sentinels that say which server is the primary.

use std::{iter, mem};

use crate::config::server::Host;

use super::auth::AuthParameters;
use super::options::{self, NO_WEIGHT};
use super::place::read_alone;
use super::span::{Span, SpanError};

/// A service and who knows where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentinel {
    /// The sentinels in the order of the text; never empty. Timeouts and
    /// encryption are those of `server`.
    pub sentinels: Vec<Host>,
    /// What the sentinels call the group of servers.
    pub service: String,
    /// How to connect to the servers of the service. Its address is that of
    /// the first sentinel until one is found: see [`Host::at`].
    pub server: Host,
}

/// Reads the URL, which is all of `text`.
///
/// User and password before the `@` are those of the servers; what the
/// sentinels want is `sentinel_auth`, in each form of `auth`.
pub(super) fn read(text: Span<'_>, warnings: &mut Vec<String>) -> Result<Sentinel, SpanError> {
    let mut place = read_alone(text)?;
    let service = mem::take(&mut place.site.service);
    let others = mem::take(&mut place.site.others);
    let mut sentinel_auth = AuthParameters::new("sentinel_auth");
    let server = options::host(place, text, warnings, |given| {
        match (given.name, given.key) {
            ("weight", None) => return Err(given.span.error(NO_WEIGHT)),
            ("sentinel_auth", key) => sentinel_auth.add(key, given.value.to_owned(), given.span)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let first =
        Host { auth: sentinel_auth.finish(text)?, database: 0, prefix: None, ..server.clone() };
    let others = others.into_iter().map(|address| first.at(address));
    let sentinels = iter::once(first.clone()).chain(others).collect();
    Ok(Sentinel { sentinels, service, server })
}
