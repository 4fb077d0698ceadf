//! The part of a server before the `?`: scheme, user, host, port, database.
//!
//! Not left to a URL parser, because passwords of platforms hold what a URL
//! may not (`#`, `/`, `?`, `@`), and a `#` behind the `?` is no fragment here.
//! The `url` crate judges the host.

use std::fmt;
use std::path::PathBuf;

use url::Host as UrlHost;

use super::auth::Auth;
use super::piece::{Fault, Piece};
use super::query;

const DEFAULT_PORT: u16 = 6379;

/// What may stand before `://`, in any case.
pub(super) const SCHEMES: [&str; 8] =
    ["tcp", "tls", "ssl", "unix", "redis", "rediss", "valkey", "valkeys"];

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP port.
    Tcp {
        /// A name, or an IP address without brackets.
        host: String,
        /// Defaults to 6379; never 0.
        port: u16,
    },
    /// A Unix domain socket, by its absolute path.
    Unix(PathBuf),
}

/// `host:port`, `[::1]:6379` or `unix:/path`; never a secret.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// All that a server's text says before the `?`.
pub(super) struct Place<'a> {
    pub address: Address,
    pub tls: bool,
    pub auth: Option<Auth>,
    /// The number behind the host.
    pub path_database: Option<u32>,
    /// Whether that number selects a database. phpredis ignores it behind
    /// `tcp://`: two nodes of a fleet must not disagree in silence.
    pub path_selects: bool,
    pub query: Option<Piece<'a>>,
}

/// Reads one server of the list up to its query.
pub(super) fn place(part: Piece<'_>) -> Result<Place<'_>, Fault> {
    let (scheme, body) = split_scheme(part);
    let Some(scheme) = scheme else {
        return bare(body);
    };
    let (tls, path_selects) = match scheme.text().to_ascii_lowercase().as_str() {
        "unix" => return unix(body),
        "tcp" => (false, false),
        "tls" | "ssl" => (true, false),
        "redis" | "valkey" => (false, true),
        "rediss" | "valkeys" => (true, true),
        _ => {
            return Err(part.fault(format!(
                "the scheme {}:// is not one of {}",
                scheme.shown(),
                SCHEMES.join(", ")
            )));
        }
    };
    let (user_info, site) = locate(body)?;
    let auth = user_info.map(user_info_auth).transpose()?.flatten();
    Ok(tcp(site, auth, tls, path_selects))
}

/// Reads `host[:port][?query]` or `/path[?query]`.
fn bare(body: Piece<'_>) -> Result<Place<'_>, Fault> {
    if split_query(body).0.find('@').is_some() {
        return Err(body.fault(
            "what holds an @ needs a scheme such as redis:// in front \
             (a comma or a space in a password is written %2C or %20)",
        ));
    }
    if body.text().starts_with('/') {
        return unix(body);
    }
    Ok(tcp(site(body)?, None, false, false))
}

fn tcp(site: Site<'_>, auth: Option<Auth>, tls: bool, path_selects: bool) -> Place<'_> {
    Place {
        address: Address::Tcp { host: site.host, port: site.port },
        tls,
        auth,
        path_database: site.database,
        path_selects,
        query: site.query,
    }
}

/// The scheme, and what follows its `://` (of `unix:`, what follows the colon).
pub(super) fn split_scheme(part: Piece<'_>) -> (Option<Piece<'_>>, Piece<'_>) {
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

/// Reads `/path[?query]`. The path is taken as it is, without decoding.
fn unix(body: Piece<'_>) -> Result<Place<'_>, Fault> {
    let (path, query) = split_query(body);
    if path.len() < 2 || !path.text().starts_with('/') {
        return Err(path.fault("a Unix socket is written unix:///absolute/path"));
    }
    Ok(Place {
        address: Address::Unix(PathBuf::from(path.text())),
        tls: false,
        auth: None,
        path_database: None,
        path_selects: false,
        query,
    })
}

fn split_query(body: Piece<'_>) -> (Piece<'_>, Option<Piece<'_>>) {
    match body.split_once("?") {
        Some((before, query)) => (before, Some(query)),
        None => (body, None),
    }
}

/// `host[:port][/database][?query]`
pub(super) struct Site<'a> {
    pub host: String,
    pub port: u16,
    pub database: Option<u32>,
    pub query: Option<Piece<'a>>,
}

/// Reads what follows the user info.
pub(super) fn site(body: Piece<'_>) -> Result<Site<'_>, Fault> {
    let (authority, rest) = body.split_before(|c| matches!(c, '/' | '?' | '#'));
    let (host, port) = host_and_port(authority)?;
    let (path, query) = split_query(rest);
    let database =
        match path.text() {
            "" | "/" => None,
            text => Some(text.strip_prefix('/').and_then(query::digits).ok_or_else(|| {
                path.fault("behind the host only /number, a database, may follow")
            })?),
        };
    if query.is_some_and(|query| query::parameters(query).any(|p| p.name.find('@').is_some())) {
        return Err(
            rest.fault("a parameter's name holds an @ (in a password write & as %26 and ? as %3F)")
        );
    }
    Ok(Site { host, port, database, query })
}

fn host_and_port(authority: Piece<'_>) -> Result<(String, u16), Fault> {
    let host_end = if authority.text().starts_with('[') {
        authority.find(']').map(|end| end + 1)
    } else {
        authority.find(':')
    };
    let host_end = host_end.unwrap_or(authority.len());
    let (host, port) = authority.split_at(host_end);
    let port = match port.text() {
        "" | ":" => DEFAULT_PORT,
        text => text
            .strip_prefix(':')
            .and_then(query::digits)
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port != 0)
            .ok_or_else(|| {
                port.fault(
                    "the port is not a number from 1 to 65535 (an IPv6 address needs brackets, \
                     a comma or a space in a password is written %2C or %20)",
                )
            })?,
    };
    if host.is_empty() {
        return Err(authority.fault("there is no host"));
    }
    // What the crate lets pass is wider than any name that can be resolved.
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let host = match UrlHost::parse(host.text()) {
        Ok(UrlHost::Domain(name)) if name.chars().all(named) => name,
        Ok(UrlHost::Ipv4(address)) => address.to_string(),
        Ok(UrlHost::Ipv6(address)) => address.to_string(),
        Ok(UrlHost::Domain(_)) | Err(_) => {
            return Err(host.fault("the host is neither a name nor an IP address"));
        }
    };
    Ok((host, port))
}

/// Splits `[user info@]site`.
///
/// A password may hold anything: it ends at the first `@` behind which the
/// rest reads as a site. For an ordinary URL that is the last `@` before the
/// path. What holds a known parameter, or reads as a site with any, is never
/// taken for a password, so a typing error cannot send it to a wrong host.
///
/// # Errors
/// What is wrong with the site, when no `@` makes sense.
pub(super) fn locate(body: Piece<'_>) -> Result<(Option<Piece<'_>>, Site<'_>), Fault> {
    let mut fault = match site(body) {
        Ok(site) => return Ok((None, site)),
        Err(fault) => fault,
    };
    for (index, _) in body.text().match_indices('@') {
        let (user_info, rest) = body.split_at(index);
        let queried = |site: Site<'_>| site.query.is_some_and(|query| query.find('=').is_some());
        if query::has_known_parameter(user_info) || site(user_info).is_ok_and(queried) {
            break;
        }
        match site(rest.after(1)) {
            Ok(site) => return Ok((Some(user_info), site)),
            Err(next) => fault = next,
        }
    }
    Err(fault)
}

/// Reads `[user]:password`.
///
/// The user is kept as it is written, also Heroku's `h`: a server that knows
/// no such user refuses it, and so does one before Redis 6, which knows none.
fn user_info_auth(user_info: Piece<'_>) -> Result<Option<Auth>, Fault> {
    let Some((user, password)) = user_info.split_once(":") else {
        if user_info.is_empty() {
            return Ok(None);
        }
        return Err(
            user_info.fault("before the @ there is no colon: write user:password@ or :password@")
        );
    };
    Ok(Auth::unless_empty(user.decoded(false)?, password.decoded(false)?))
}
