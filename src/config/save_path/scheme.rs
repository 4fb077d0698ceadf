//! The scheme before `://`, and what it announces.

use crate::config::tls::{TlsOptions, TlsVersion};

use super::span::Span;

/// What a scheme announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `/path`
    Unix,
    /// `host[:port]`. phpredis ignores a number in the path: two nodes of a
    /// fleet must not disagree in silence.
    Tcp,
    /// `host[:port][/database]`
    Url,
    /// `host[:port],.../service[/database]`
    Sentinel,
    /// `host[:port],...`
    Cluster,
}

impl Form {
    /// Whether it is the whole text, with commas between its hosts.
    pub fn stands_alone(self) -> bool {
        match self {
            Self::Unix | Self::Tcp | Self::Url => false,
            Self::Sentinel | Self::Cluster => true,
        }
    }

    pub fn default_port(self) -> u16 {
        match self {
            Self::Sentinel => 26379,
            Self::Unix | Self::Tcp | Self::Url | Self::Cluster => 6379,
        }
    }
}

/// How to speak to a server, as far as a scheme says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    /// In plain text.
    Plain,
    /// With TLS.
    Tls,
    /// With this version of it only.
    Version(TlsVersion),
}

impl Security {
    /// The TLS options that nothing has been said about yet.
    pub fn options(self) -> Option<TlsOptions> {
        match self {
            Self::Plain => None,
            Self::Tls => Some(TlsOptions::default()),
            Self::Version(version) => {
                Some(TlsOptions { version: Some(version), ..TlsOptions::default() })
            }
        }
    }
}

/// What may be before `://`, in upper or lower case.
const SCHEMES: [(&str, Form, Security); 18] = [
    ("tcp", Form::Tcp, Security::Plain),
    ("tls", Form::Tcp, Security::Tls),
    ("ssl", Form::Tcp, Security::Tls),
    ("unix", Form::Unix, Security::Plain),
    ("redis", Form::Url, Security::Plain),
    ("rediss", Form::Url, Security::Tls),
    ("valkey", Form::Url, Security::Plain),
    ("valkeys", Form::Url, Security::Tls),
    ("redis-sentinel", Form::Sentinel, Security::Plain),
    ("rediss-sentinel", Form::Sentinel, Security::Tls),
    ("valkey-sentinel", Form::Sentinel, Security::Plain),
    ("valkeys-sentinel", Form::Sentinel, Security::Tls),
    ("redis-cluster", Form::Cluster, Security::Plain),
    ("rediss-cluster", Form::Cluster, Security::Tls),
    ("valkey-cluster", Form::Cluster, Security::Plain),
    ("valkeys-cluster", Form::Cluster, Security::Tls),
    ("tlsv1.2", Form::Tcp, Security::Version(TlsVersion::Tls12)),
    ("tlsv1.3", Form::Tcp, Security::Version(TlsVersion::Tls13)),
];

/// What `scheme` announces.
pub(super) fn announced(scheme: Span<'_>) -> Option<(Form, Security)> {
    let mut schemes = SCHEMES.iter();
    let (_, form, tls) = schemes.find(|(name, ..)| scheme.text().eq_ignore_ascii_case(name))?;
    Some((*form, *tls))
}

/// The scheme, and what follows its `://` (of `unix:`, what follows the colon).
pub(super) fn split_scheme(part: Span<'_>) -> (Option<Span<'_>>, Span<'_>) {
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let (scheme, rest) = part.split_before(|c| !named(c));
    if rest.text().starts_with("://") && !scheme.is_empty() {
        (Some(scheme), rest.after(3))
    } else if rest.text().starts_with(':') && scheme.text().eq_ignore_ascii_case("unix") {
        (Some(scheme), rest.after(1))
    } else {
        (None, part)
    }
}

/// What may be before `://`, for a message.
pub(super) fn names() -> String {
    SCHEMES.map(|(name, ..)| name).join(", ")
}
