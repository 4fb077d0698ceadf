//! What the parameters of a server mean, their defaults and limits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::config::server::{Address, Host};
use crate::config::tls::TlsOptions;

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
    /// All of it, as it is in the text.
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
    let Place { site, form, .. } = place;
    let mut read = Read::defaults(site.address, place.security.options());
    for parameter in site.query.into_iter().flat_map(query::parameters) {
        let (name, key) = parameter.decoded_name()?;
        let value = parameter.value.decoded(true)?;
        if !parameter.is_set() && parameter.kind() != Kind::Unknown {
            return Err(parameter.span.error(format!("{} {NO_VALUE}", shown(parameter.name))));
        }
        let given = Given { name: &name, key: key.as_deref(), value: &value, span: parameter.span };
        if !own(&given)? && !read.take(&given, &parameter, form)? {
            warnings.push(format!(
                "unknown parameter '{}' at offset {} of session.save_path is ignored",
                shown(parameter.name),
                parameter.span.at(),
            ));
        }
    }
    let Read { mut host, database: of_query, auth } = read;
    host.database = database(site.database, of_query, form, part)?;
    host.auth = match (place.auth, auth.finish(part)?) {
        (Some(one), Some(other)) if one != other => {
            return Err(part.error("auth= and the login before the @ differ: keep one of them"));
        }
        (one, other) => one.or(other),
    };
    Ok(host)
}

/// What a query has said so far.
struct Read {
    host: Host,
    database: Option<u32>,
    auth: AuthParameters,
}

impl Read {
    fn defaults(address: Address, tls: Option<TlsOptions>) -> Self {
        let host = Host {
            address,
            tls,
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
        Self { host, database: None, auth: AuthParameters::new("auth") }
    }

    /// Takes one parameter; false where there is none of that name.
    fn take(
        &mut self,
        given: &Given<'_>,
        parameter: &Parameter<'_>,
        form: Form,
    ) -> Result<bool, SpanError> {
        let Given { name, key, value, span } = *given;
        let host = &mut self.host;
        let named = |reason: &str| span.error(format!("{name} {reason}"));
        match (name, key) {
            ("weight", None) => host.weight = weight(value).map_err(named)?,
            // The cluster handler of phpredis takes 0 for "not given".
            ("timeout", None) if form == Form::Cluster => {
                host.timeout = timeout_or_zero(value).map_err(named)?;
            }
            ("timeout", None) => host.timeout = timeout(value).map_err(named)?,
            ("read_timeout", None) => host.read_timeout = timeout_or_zero(value).map_err(named)?,
            ("persistent", None) => host.persistent = switch(value).map_err(named)?,
            ("persistent_id", None) => {
                host.persistent_id = Some(value.to_owned()).filter(|id| !id.is_empty());
            }
            ("max_connection_age", None) => {
                let what = "must be a number of seconds, from 0 (no limit) to 1000000000";
                host.max_connection_age = seconds(value).ok_or(what).map_err(named)?;
            }
            ("retry_interval", None) => {
                let pause = number(value).map_err(named)?;
                host.retry_interval = Duration::from_millis(pause.into());
            }
            ("database", None) => self.database = Some(number(value).map_err(named)?),
            ("prefix", None) => host.prefix = Some(value.to_owned()),
            ("auth", key) => self.auth.add(key, value.to_owned(), parameter.span)?,
            ("stream", Some(option)) => stream(host, option, value.to_owned(), parameter)?,
            ("stream", None) => {
                return Err(span.error("stream needs an option, e.g. stream[cafile]="));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The database, by the number in the path and by the parameter of that name.
/// Where both are given they say the same.
fn database(
    of_path: Option<u32>,
    of_query: Option<u32>,
    form: Form,
    part: Span<'_>,
) -> Result<u32, SpanError> {
    let Some(path) = of_path else { return Ok(of_query.unwrap_or(0)) };
    match of_query {
        None if form != Form::Tcp => Ok(path),
        _ if path == of_query.unwrap_or(0) => Ok(path),
        Some(database) => {
            Err(part.error(format!("/{path} and database={database} differ: keep one of them")))
        }
        None => Err(part.error(match is_beside_phpredis() {
            true => format!(
                "phpredis ignores /{path} here: write ?database={path}, or redis:// or rediss://"
            ),
            false => format!(
                "/{path} is a database only with redis:// or rediss://: write one of these, \
                 or ?database={path}"
            ),
        })),
    }
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
