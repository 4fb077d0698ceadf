//! `name=value&name[key]=value` after the `?`, read as PHP reads a query.
//!
//! Knows which parameters exist; `options` knows what they mean. A `#` is an
//! ordinary character, as phpredis puts the fragment back onto the query.

use super::host;
use super::span::{Span, SpanError, is_separator};

/// One parameter as it is written in the text.
pub(super) struct Parameter<'a> {
    /// All of it.
    pub span: Span<'a>,
    /// Before the `=`, not decoded.
    pub name: Span<'a>,
    /// Behind the `=`, not decoded; empty without one, as in PHP.
    pub value: Span<'a>,
}

/// How much of a parameter may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Name and value.
    Open,
    /// The name.
    Secret,
    /// Nobody knows it: it may be the end of a password with a bare `&`.
    Unknown,
}

/// The parameters in the order of the text.
pub(super) fn parameters(query: Span<'_>) -> impl Iterator<Item = Parameter<'_>> {
    query.split(|c| c == '&').filter(|span| !span.is_empty()).map(parameter)
}

/// Reads one parameter.
pub(super) fn parameter(span: Span<'_>) -> Parameter<'_> {
    let (name, value) = span.split_once("=").unwrap_or_else(|| (span, span.after(span.len())));
    Parameter { span, name, value }
}

/// A decoded name: `stream[cafile]` is `("stream", Some("cafile"))`.
pub(super) type Name = (String, Option<String>);

impl Parameter<'_> {
    /// The decoded name, without spaces in front, which PHP ignores.
    ///
    /// # Errors
    /// It is not UTF-8 or holds a NUL byte.
    pub fn decoded_name(&self) -> Result<Name, SpanError> {
        let name = self.name.decoded(true)?.trim_start_matches(' ').to_owned();
        let split = name.strip_suffix(']').and_then(|inner| inner.split_once('['));
        Ok(match split {
            Some((base, key)) => (base.to_owned(), Some(key.to_owned())),
            None => (name, None),
        })
    }

    /// Whether there is a `=`.
    pub fn is_set(&self) -> bool {
        self.name.len() < self.span.len()
    }

    /// How much of it may be shown.
    pub fn kind(&self) -> Kind {
        let Ok((name, key)) = self.decoded_name() else {
            return Kind::Unknown;
        };
        match (name.as_str(), key.as_deref()) {
            (
                "weight" | "timeout" | "read_timeout" | "persistent" | "persistent_id"
                | "max_connection_age" | "retry_interval" | "database" | "prefix" | "failover",
                None,
            )
            | (
                "stream",
                Some(
                    "verify_peer" | "verify_peer_name" | "peer_name" | "allow_self_signed"
                    | "cafile" | "capath" | "local_cert" | "local_pk" | "SNI_enabled",
                ),
            ) => Kind::Open,
            ("seed", _) if host::seed(self.value).is_ok() => Kind::Open,
            ("auth" | "sentinel_auth" | "seed", _) | ("stream", Some(_)) => Kind::Secret,
            _ => Kind::Unknown,
        }
    }
}

/// Whether `text` holds `?name=` or `&name=` of a parameter that exists.
pub(super) fn has_known_parameter(text: Span<'_>) -> bool {
    text.split(|c| matches!(c, '?' | '&'))
        .skip(1)
        .map(parameter)
        .any(|parameter| parameter.is_set() && parameter.kind() != Kind::Unknown)
}

/// Whether the last known parameter of `text` holds a secret: what follows it
/// may be a part of that.
pub(super) fn ends_in_secret(text: Span<'_>) -> bool {
    let kinds = text.split(|c| matches!(c, '?' | '&')).skip(1).map(|one| parameter(one).kind());
    kinds.filter(|kind| *kind != Kind::Unknown).last() == Some(Kind::Secret)
}

/// Whether the text is a query and no list of servers: its first `=` is
/// where a server would be, and there is a parameter in it that exists. No
/// server's name or path can look like that.
pub(super) fn is_query(text: Span<'_>) -> bool {
    let (name, rest) = text.split_before('=');
    let in_server = |c: char| matches!(c, '?' | '/' | '#' | ':' | '@') || is_separator(c);
    !rest.is_empty()
        && name.find(in_server).is_none()
        && parameters(text).any(|parameter| parameter.is_set() && parameter.kind() != Kind::Unknown)
}
