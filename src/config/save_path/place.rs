//! Everything up to the query: scheme, user, password, and the site.

use std::path::PathBuf;

use crate::config::auth::Auth;
use crate::config::server::Address;

use super::mask::shown;
use super::scheme::{self, Form, Security};
use super::site::{Site, locate, site, split_query};
use super::span::{self, Span, SpanError};

/// One part of the list, or a text that is no list, without its parameters.
pub(super) struct Place<'a> {
    pub form: Form,
    pub security: Security,
    pub auth: Option<Auth>,
    pub site: Site<'a>,
}

/// Reads everything up to the query.
pub(super) fn place(part: Span<'_>) -> Result<Place<'_>, SpanError> {
    let (scheme, body) = scheme::split_scheme(part);
    let Some(scheme) = scheme else {
        return bare(body);
    };
    let Some((form, security)) = scheme::announced(scheme) else {
        return Err(part.error(unknown(scheme)));
    };
    if form == Form::Unix {
        return unix(body);
    }
    let (user_info, site) = locate(body, form)?;
    let auth = user_info.map(user_info_auth).transpose()?.flatten();
    Ok(Place { form, security, auth, site })
}

/// Why a scheme is refused.
fn unknown(scheme: Span<'_>) -> String {
    let is_old = |name: &&&str| scheme.text().eq_ignore_ascii_case(name);
    match ["sslv2", "sslv3", "tlsv1.0", "tlsv1.1"].iter().find(is_old) {
        Some(name) => format!("{name}:// is no longer secure: write tls:// for TLS 1.2 or 1.3"),
        None => format!("unknown scheme {}://: use one of {}", shown(scheme), scheme::names()),
    }
}

/// Reads `host[:port][?query]` or `/path[?query]`.
fn bare(body: Span<'_>) -> Result<Place<'_>, SpanError> {
    if split_query(body).0.find('@').is_some() {
        return Err(body.error(
            "a server with an @ needs a scheme, e.g. redis:// (in a password, write a comma as \
             %2C and a space as %20)",
        ));
    }
    if body.text().starts_with('/') {
        return unix(body);
    }
    Ok(Place {
        form: Form::Tcp,
        security: Security::Plain,
        auth: None,
        site: site(body, Form::Tcp)?,
    })
}

/// Reads `/path[?query]`. The path is taken as it is, without decoding.
fn unix(body: Span<'_>) -> Result<Place<'_>, SpanError> {
    let (path, query) = split_query(body);
    if path.len() < 2 || !path.text().starts_with('/') {
        return Err(
            path.error("a Unix socket needs an absolute path, e.g. unix:///run/redis/redis.sock")
        );
    }
    let address = Address::Unix(PathBuf::from(path.text()));
    let site = Site { address, others: Vec::new(), service: String::new(), database: None, query };
    Ok(Place { form: Form::Unix, security: Security::Plain, auth: None, site })
}

/// Reads `[user]:password`.
///
/// The user is kept as it is written, also Heroku's `h`: a server that knows
/// no such user refuses it, and so does one before Redis 6, which knows none.
fn user_info_auth(user_info: Span<'_>) -> Result<Option<Auth>, SpanError> {
    let Some((user, password)) = user_info.split_once(":") else {
        if user_info.is_empty() {
            return Ok(None);
        }
        return Err(
            user_info.error("missing colon before the @: write user:password@ or :password@")
        );
    };
    Ok(Auth::unless_empty(user.decoded(false)?, password.decoded(false)?))
}

/// What is said where a sentinel or cluster URL has company.
pub(super) const STANDS_ALONE: &str = "a Sentinel or Cluster URL must be the whole save path: \
                                       nothing may come before or after it (write a space as %20)";

/// Reads a URL that must be all of `text` up to its query.
pub(super) fn read_alone(text: Span<'_>) -> Result<Place<'_>, SpanError> {
    refuse_variable(text)?;
    if let Some(at) = text.find(span::is_space) {
        return Err(text.after(at).error(STANDS_ALONE));
    }
    place(text)
}

/// # Errors
/// PHP left a `${NAME}` in the text.
pub(super) fn refuse_variable(text: Span<'_>) -> Result<(), SpanError> {
    let Some(variable) = unexpanded(text) else {
        return Ok(());
    };
    Err(variable.error(format!(
        "{} was not replaced: this environment variable is not set, or PHP does not replace \
         variables here (it does so in php.ini)",
        shown(variable)
    )))
}

/// The first `${NAME}`.
fn unexpanded(text: Span<'_>) -> Option<Span<'_>> {
    let start = text.after(text.find("${")?);
    let (variable, _) = start.split_at(start.find('}')? + 1);
    let name = variable.text().get(2..variable.len() - 1)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(plain)).then_some(variable)
}
