//! What follows the user and the password: hosts, ports, path, query.
//!
//! Not left to a URL parser, because passwords of platforms hold what a URL
//! may not (`#`, `/`, `?`, `@`), and a `#` after the `?` is no fragment here.

use crate::config::server::Address;

use super::host::{digits, tcp};
use super::query;
use super::scheme::Form;
use super::span::{Span, SpanError};

/// What follows the user info.
pub(super) struct Site<'a> {
    /// The first host.
    pub address: Address,
    /// The other hosts; empty unless the form allows a list.
    pub others: Vec<Address>,
    /// What the sentinels call the servers; empty in every other form.
    pub service: String,
    /// The number in the path.
    pub database: Option<u32>,
    /// Behind the `?`.
    pub query: Option<Span<'a>>,
}

pub(super) fn split_query(body: Span<'_>) -> (Span<'_>, Option<Span<'_>>) {
    match body.split_once("?") {
        Some((before, query)) => (before, Some(query)),
        None => (body, None),
    }
}

/// Reads what follows the user info.
pub(super) fn site(body: Span<'_>, form: Form) -> Result<Site<'_>, SpanError> {
    let (authority, rest) = body.split_before(|c| matches!(c, '/' | '?' | '#'));
    let read = |host| tcp(host, form.default_port());
    let (address, others) = match authority.split_once(",") {
        Some((first, others)) if form.stands_alone() => {
            (read(first)?, others.split(|c| c == ',').map(read).collect::<Result<_, _>>()?)
        }
        _ => (read(authority)?, Vec::new()),
    };
    let (path, query) = split_query(rest);
    let (service, database) = read_path(path, form)?;
    // A password may look like that, and its start must not become a host.
    let is_odd = |p: query::Parameter<'_>| {
        let suspect = if p.kind() == query::Kind::Unknown { p.span } else { p.name };
        suspect.find('@').is_some()
    };
    if query.is_some_and(|query| query::parameters(query).any(is_odd)) {
        return Err(rest.error(
            "an unknown parameter contains an @ (in a password, write & as %26 and ? as %3F)",
        ));
    }
    Ok(Site { address, others, service, database, query })
}

/// Reads the service and the database between the hosts and the query.
fn read_path(path: Span<'_>, form: Form) -> Result<(String, Option<u32>), SpanError> {
    let none = String::new();
    if form.stands_alone() && path.text().starts_with("//") {
        return Err(path.error("write the scheme only once, before the first host"));
    }
    let (service, path) = match form {
        Form::Sentinel => read_service(path)?,
        Form::Cluster if path.text() == "/0" => return Ok((none, None)),
        Form::Unix | Form::Tcp | Form::Url | Form::Cluster => (none, path),
    };
    if matches!(path.text(), "" | "/") {
        return Ok((service, None));
    }
    let refusal = match form {
        Form::Unix | Form::Tcp | Form::Url => "only a database number may follow the host, e.g. /2",
        Form::Sentinel => "only a database number may follow the master name, e.g. /2",
        Form::Cluster => "only /0 may follow the hosts: a cluster has only database 0",
    };
    let number = path.text().strip_prefix('/').and_then(digits);
    match number.filter(|_| form != Form::Cluster) {
        Some(database) => Ok((service, Some(database))),
        None => Err(path.error(refusal)),
    }
}

/// Reads `/service` and gives what follows it.
fn read_service(path: Span<'_>) -> Result<(String, Span<'_>), SpanError> {
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !matches!(path.text().as_bytes(), [b'/', next, ..] if *next != b'/') {
        return Err(path.error(
            "missing /service after the sentinel list (the monitored master name), e.g. \
             redis-sentinel://s1:26379/mymaster",
        ));
    }
    let (service, rest) = path.after(1).split_before('/');
    let name = service.decoded(false)?;
    if !name.chars().all(named) {
        return Err(service.error("a master name may contain only letters, digits and _ . -"));
    }
    Ok((name, rest))
}

/// Splits `[user info@]site`.
///
/// A password may hold anything: it ends at the first `@` after which the
/// rest reads as a site. For an ordinary URL that is the last `@` before the
/// path. What holds a known parameter, or reads as a site with any, is never
/// taken for a password, so a typing error cannot send it to a wrong host.
///
/// # Errors
/// What is wrong with the site, when no `@` makes sense.
pub(super) fn locate(
    body: Span<'_>,
    form: Form,
) -> Result<(Option<Span<'_>>, Site<'_>), SpanError> {
    let mut error = match site(body, form) {
        Ok(site) => return Ok((None, site)),
        Err(error) => error,
    };
    let queried = |site: Site<'_>| site.query.is_some_and(|query| query.find('=').is_some());
    for (index, _) in body.text().match_indices('@') {
        let (user_info, rest) = body.split_at(index);
        // Of a site whose service was forgotten, the hosts still read as a cluster's.
        let is_site = [form, Form::Cluster].map(|form| site(user_info, form).is_ok_and(queried));
        if query::has_known_parameter(user_info) || is_site.contains(&true) {
            break;
        }
        match site(rest.after(1), form) {
            Ok(_) if form.stands_alone() && user_info.find(',').is_some() => {
                return Err(user_info.error(
                    "write user and password only once, before the first host (in a password, \
                     write a comma as %2C)",
                ));
            }
            Ok(site) => return Ok((Some(user_info), site)),
            Err(next) => error = next,
        }
    }
    Err(error)
}
