//! What the parameters of a server mean, their defaults and limits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::config::server::Host;

use super::auth::AuthParameters;
use super::host::digits;
use super::mask::shown;
use super::place::Place;
use super::query::{self, Kind, Parameter};
use super::scheme::Form;
use super::span::{Span, SpanError};
use super::tls::{self, switch};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_AGE: Duration = Duration::from_secs(3600);

/// More than 30 years is a mistake, and near what clocks can add up.
const MAX_SECONDS: f64 = 1e9;

/// Why a weight is refused where sessions are not shared out by weights.
pub(super) const NO_WEIGHT: &str = "weight is not supported with Sentinel or Cluster";

/// What is said of a parameter without a `=`.
pub(super) const NO_VALUE: &str = "has no value: put double quotes around the value of \
                                   session.save_path, because PHP cuts it at the = without them \
                                   (for an empty value, write the = too)";

/// Whether phpredis is loaded, which may read the same save path elsewhere.
static BESIDE_PHPREDIS: AtomicBool = AtomicBool::new(false);

/// From now on, messages say where phpredis would do something else.
pub fn notice_phpredis() {
    BESIDE_PHPREDIS.store(true, Ordering::Relaxed);
}

fn is_beside_phpredis() -> bool {
    BESIDE_PHPREDIS.load(Ordering::Relaxed)
}

/// One parameter, decoded.
pub(super) struct Given<'a> {
    pub name: &'a str,
    pub key: Option<&'a str>,
    pub value: &'a str,
    /// All of it, as it stands in the text.
    pub span: Span<'a>,
}

/// Applies the query of `place`, which is all of `part`, to its defaults.
///
/// `own` is offered each parameter first, and says whether it took it.
pub(super) fn host(
    place: Place<'_>,
    part: Span<'_>,
    warnings: &mut Vec<String>,
    mut own: impl FnMut(&Given<'_>) -> Result<bool, SpanError>,
) -> Result<Host, SpanError> {
    let mut host = Host {
        address: place.site.address,
        tls: place.security.options(),
        weight: 1,
        timeout: DEFAULT_TIMEOUT,
        read_timeout: DEFAULT_TIMEOUT,
        persistent: true,
        persistent_id: None,
        max_connection_age: DEFAULT_AGE,
        retry_interval: Duration::ZERO,
        database: 0,
        prefix: None,
        auth: None,
    };
    let mut database = None;
    let mut auth = AuthParameters::new("auth");
    for parameter in place.site.query.into_iter().flat_map(query::parameters) {
        let span = parameter.span;
        let (name, key) = parameter.decoded_name()?;
        let value = parameter.value.decoded(true)?;
        let named = |reason: &str| span.error(format!("{name} {reason}"));
        if !parameter.is_set() && parameter.kind() != Kind::Unknown {
            return Err(span.error(format!("{} {NO_VALUE}", shown(parameter.name))));
        }
        if own(&Given { name: &name, key: key.as_deref(), value: &value, span })? {
            continue;
        }
        match (name.as_str(), key.as_deref()) {
            ("weight", None) => host.weight = weight(&value).map_err(named)?,
            // The cluster handler of phpredis takes 0 for "not given".
            ("timeout", None) if place.form == Form::Cluster => {
                host.timeout = timeout_or_zero(&value).map_err(named)?;
            }
            ("timeout", None) => host.timeout = timeout(&value).map_err(named)?,
            ("read_timeout", None) => host.read_timeout = timeout_or_zero(&value).map_err(named)?,
            ("persistent", None) => host.persistent = switch(&value).map_err(named)?,
            ("persistent_id", None) => {
                host.persistent_id = Some(value).filter(|id| !id.is_empty());
            }
            ("max_connection_age", None) => {
                let what = "must be a number of seconds, from 0 (no limit) to 1000000000";
                host.max_connection_age = seconds(&value).ok_or(what).map_err(named)?;
            }
            ("retry_interval", None) => {
                let pause = number(&value).map_err(named)?;
                host.retry_interval = Duration::from_millis(pause.into());
            }
            ("database", None) => database = Some(number(&value).map_err(named)?),
            ("prefix", None) => host.prefix = Some(value),
            ("auth", key) => auth.add(key, value, span)?,
            ("stream", Some(option)) => stream(&mut host, option, value, &parameter)?,
            ("stream", None) => {
                return Err(span.error("stream needs an option, e.g. stream[cafile]="));
            }
            _ => warnings.push(format!(
                "unknown parameter '{}' at offset {} of session.save_path is ignored",
                shown(parameter.name),
                span.at(),
            )),
        }
    }
    // What stands in the path counts for nothing or says the same.
    host.database = match (place.site.database, database) {
        (None, database) => database.unwrap_or(0),
        (Some(path), None) if place.form != Form::Tcp => path,
        (Some(path), database) if path == database.unwrap_or(0) => path,
        (Some(path), Some(database)) => {
            return Err(
                part.error(format!("/{path} and database={database} differ: keep one of them"))
            );
        }
        (Some(path), None) => {
            return Err(part.error(match is_beside_phpredis() {
                true => format!(
                    "phpredis ignores /{path} here: write ?database={path}, or redis:// or rediss://"
                ),
                false => format!(
                    "/{path} is a database only with redis:// or rediss://: write one of these, \
                     or ?database={path}"
                ),
            }));
        }
    };
    host.auth = match (place.auth, auth.finish(part)?) {
        (Some(one), Some(other)) if one != other => {
            return Err(part.error("auth= and the login before the @ differ: keep one of them"));
        }
        (one, other) => one.or(other),
    };
    Ok(host)
}

fn stream(
    host: &mut Host,
    option: &str,
    value: String,
    parameter: &Parameter<'_>,
) -> Result<(), SpanError> {
    let Some(tls) = &mut host.tls else {
        return Err(parameter.span.error("stream[...] needs tls:// or another scheme with TLS"));
    };
    tls::set(tls, option, value).map_err(|reason| {
        let name = shown(parameter.name);
        parameter.span.error(format!("{name} {reason}"))
    })
}

fn weight(value: &str) -> Result<u32, &'static str> {
    number(value)
        .ok()
        .filter(|weight| *weight > 0)
        .ok_or("must be a whole number from 1 to 4294967295")
}

/// Spaces around it are fine, as PHP ignores them too.
pub(super) fn number(value: &str) -> Result<u32, &'static str> {
    digits(value.trim()).ok_or("must be a whole number from 0 to 4294967295")
}

fn timeout(value: &str) -> Result<Duration, &'static str> {
    seconds(value)
        .filter(|timeout| !timeout.is_zero())
        .ok_or("must be a number of seconds, more than 0 and at most 1000000000")
}

/// 0 is the default.
fn timeout_or_zero(value: &str) -> Result<Duration, &'static str> {
    match seconds(value) {
        Some(Duration::ZERO) => Ok(DEFAULT_TIMEOUT),
        Some(timeout) => Ok(timeout),
        None => Err("must be a number of seconds, from 0 (the default) to 1000000000"),
    }
}

fn seconds(value: &str) -> Option<Duration> {
    let seconds: f64 = value.trim().parse().ok()?;
    (seconds <= MAX_SECONDS).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}
