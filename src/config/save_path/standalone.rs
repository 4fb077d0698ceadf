//! A list of servers that know nothing of each other.
//!
//! Which of them has a session: see `topology::weighted`.

use crate::config::server::Host;

use super::place::{self, STANDS_ALONE, refuse_variable};
use super::span::{Span, SpanError, is_separator};
use super::{options, query, scheme};

/// The servers of a save path, in the order of the text; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standalone {
    /// The server that the text begins with.
    pub first: Host,
    /// Those that follow it.
    pub others: Vec<Host>,
}

impl Standalone {
    /// All of them in the order of the text.
    pub fn hosts(&self) -> impl DoubleEndedIterator<Item = &Host> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// What is said where there is no server.
pub(super) const EMPTY: &str = "session.save_path is empty: set it, e.g. tcp://127.0.0.1:6379 (an environment variable in \
     it must be set too)";

/// What to write where a password has cut the list.
const IN_SECRET: &str = "in a password, write a comma as %2C and a space as %20; begin each \
                         further server with tcp://";

/// Reads the list, which is all of `text` and holds something.
pub(super) fn read(text: Span<'_>, warnings: &mut Vec<String>) -> Result<Standalone, SpanError> {
    let mut hosts = Vec::new();
    let mut total: u32 = 0;
    let mut before: Option<Span<'_>> = None;
    for part in text.split(is_separator).filter(|part| !part.is_empty()) {
        refuse_variable(part)?;
        let secret = before.filter(|before| query::ends_in_secret(*before));
        let may_be_secret = secret.is_some() && scheme::split_scheme(part).0.is_none();
        // A list has more between its servers, or says what the next one is.
        let is_close = secret.is_some_and(|secret| secret.end() + 1 == part.at());
        if may_be_secret && is_close && !query::has_known_parameter(part) {
            return Err(part.error(format!("this is not a server: {IN_SECRET}")));
        }
        before = Some(part);
        let announced = scheme::split_scheme(part).0.and_then(scheme::announced);
        if let Some((form, _)) = announced
            && form.stands_alone()
        {
            return Err(part.error(STANDS_ALONE));
        }
        let place = place::place(part).map_err(|error| match may_be_secret {
            true if !error.reason.contains("%2C") => {
                SpanError { reason: format!("{} ({IN_SECRET})", error.reason), ..error }
            }
            _ => error,
        });
        let host = options::host(place?, part, warnings, |_| Ok(false))?;
        total = total
            .checked_add(host.weight)
            .ok_or_else(|| part.error("the sum of all weights must be at most 4294967295"))?;
        hosts.push(host);
    }
    let mut hosts = hosts.into_iter();
    let first = hosts.next().ok_or_else(|| text.error(EMPTY))?;
    Ok(Standalone { first, others: hosts.collect() })
}
