//! A Redis Cluster: `redis-cluster://`, and the query string of phpredis'
//! `rediscluster` handler.

use std::{iter, mem};

use crate::config::server::{Address, Host};

use super::host::seed;
use super::options::{self, Given, NO_WEIGHT};
use super::place::{Place, read_alone, refuse_variable};
use super::query;
use super::scheme::{Form, Security};
use super::site::Site;
use super::span::{Span, SpanError};

/// A cluster, and through which nodes to find it.
///
/// A cluster has only database 0, and no weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The nodes to ask for all others, in the order of the text; never empty.
    pub seeds: Vec<Address>,
    /// How to connect to each node. Its address is that of the first seed:
    /// see [`Host::at`].
    pub node: Host,
    /// Whether replicas may be read. Defaults to [`Failover::None`].
    pub failover: Failover,
}

/// Whether a read may go to a replica, which may lag its primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Failover {
    /// Never.
    #[default]
    None,
    /// When the primary does not answer.
    Error,
    /// Always: reads go to any node that has the slot.
    Distribute,
}

/// Reads the URL, which is all of `text`.
pub(super) fn read(text: Span<'_>, warnings: &mut Vec<String>) -> Result<Cluster, SpanError> {
    cluster(read_alone(text)?, text, warnings, |_| false)
}

/// Reads phpredis' query string, which is all of `text`.
///
/// A seed that cannot be used is a warning, as in phpredis, while there is
/// another one. Any `stream[...]` means TLS, as in phpredis, and so does a
/// seed with `tls://` or `ssl://` in front.
///
/// # Errors
/// As for a URL, and when there is no usable seed.
pub(super) fn read_query(text: Span<'_>, warnings: &mut Vec<String>) -> Result<Cluster, SpanError> {
    refuse_variable(text)?;
    let mut seeds = Vec::new();
    let mut unusable = None;
    let mut security = Security::Plain;
    let mut plain = None;
    for parameter in query::parameters(text) {
        let span = parameter.span;
        match parameter.decoded_name()? {
            (name, Some(_)) if name == "stream" && security == Security::Plain => {
                security = Security::Tls;
            }
            (name, Some(_)) if name == "seed" => match seed(parameter.value) {
                Ok((said, address)) => {
                    seeds.push(address);
                    match said {
                        None => {}
                        Some(Security::Plain) => plain = plain.or(Some(span)),
                        // What names a version says more than what does not.
                        Some(Security::Tls) if security != Security::Plain => {}
                        Some(said) => security = said,
                    }
                }
                Err(SpanError { reason, .. }) => {
                    warnings.push(format!(
                        "the seed at offset {} of session.save_path is ignored: {reason}",
                        span.at()
                    ));
                    unusable.get_or_insert((span, reason));
                }
            },
            _ => {}
        }
    }
    let mut seeds = seeds.into_iter();
    let Some(address) = seeds.next() else {
        return Err(match unusable {
            Some((span, reason)) => span.error(format!("{NO_SEEDS}: {reason}")),
            None => text.error(format!("{NO_SEEDS}: a cluster needs seed[]=host:port")),
        });
    };
    if let Some(plain) = plain.filter(|_| security != Security::Plain) {
        return Err(plain.error(
            "tcp:// is not encrypted, but other parameters ask for TLS: write tls://, or remove \
             those parameters",
        ));
    }
    let site = Site {
        address,
        others: seeds.collect(),
        service: String::new(),
        database: None,
        query: Some(text),
    };
    let place = Place { form: Form::Cluster, security, auth: None, site };
    cluster(place, text, warnings, |given| given.name == "seed" && given.key.is_some())
}

/// phpredis' words.
const NO_SEEDS: &str = "No valid seeds detected";

/// Reads the parameters. `is_done` says which of them have been read before.
fn cluster(
    mut place: Place<'_>,
    text: Span<'_>,
    warnings: &mut Vec<String>,
    is_done: fn(&Given<'_>) -> bool,
) -> Result<Cluster, SpanError> {
    let others = mem::take(&mut place.site.others);
    let mut failover = Failover::default();
    let node = options::host(place, text, warnings, |given| {
        let refuse = |reason: &str| Err(given.span.error(reason));
        match (given.name, given.key) {
            ("weight", None) => return refuse(NO_WEIGHT),
            ("database", None) if options::number(given.value) != Ok(0) => {
                return refuse("a cluster has only database 0");
            }
            ("failover", None) => {
                failover = match given.value.to_ascii_lowercase().as_str() {
                    "none" => Failover::None,
                    "error" => Failover::Error,
                    "distribute" => Failover::Distribute,
                    _ => return refuse("failover must be none, error or distribute"),
                }
            }
            _ => return Ok(is_done(given)),
        }
        Ok(true)
    })?;
    let seeds = iter::once(node.address.clone()).chain(others).collect();
    Ok(Cluster { seeds, node, failover })
}
