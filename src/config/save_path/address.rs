//! What stands before the `?`: scheme, user, hosts, ports, path.
//!
//! Not left to a URL parser, because passwords of platforms hold what a URL
//! may not (`#`, `/`, `?`, `@`), and a `#` behind the `?` is no fragment here.
//! The `url` crate judges the host.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use url::Host as UrlHost;

use crate::config::auth::Auth;
use crate::config::server::Address;
use crate::config::tls::{Tls, TlsVersion};

use super::query;
use super::span::{Span, SpanError};

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
    pub fn options(self) -> Option<Tls> {
        match self {
            Self::Plain => None,
            Self::Tls => Some(Tls::default()),
            Self::Version(version) => Some(Tls { version: Some(version), ..Tls::default() }),
        }
    }
}

/// What may stand before `://`, in any case.
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

/// One part of the list, or a text that stands alone, without its parameters.
pub(super) struct Place<'a> {
    pub form: Form,
    pub security: Security,
    pub auth: Option<Auth>,
    pub site: Site<'a>,
}

/// What follows the user info.
pub(super) struct Site<'a> {
    /// The first host.
    pub address: Address,
    /// The other hosts; empty unless the form stands alone.
    pub others: Vec<Address>,
    /// What the sentinels call the servers; empty in every other form.
    pub service: String,
    /// The number in the path.
    pub database: Option<u32>,
    /// Behind the `?`.
    pub query: Option<Span<'a>>,
}

/// Reads everything up to the query.
pub(super) fn place(part: Span<'_>) -> Result<Place<'_>, SpanError> {
    let (scheme, body) = split_scheme(part);
    let Some(scheme) = scheme else {
        return bare(body);
    };
    let Some((form, security)) = announced(scheme) else {
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
        Some(name) => format!(
            "{name}:// asks for a version that is not secure any more: write tls:// for TLS 1.2 \
             or 1.3"
        ),
        None => format!(
            "the scheme {}:// is not one of {}",
            scheme.shown(),
            SCHEMES.map(|(name, ..)| name).join(", ")
        ),
    }
}

/// Reads `host[:port][?query]` or `/path[?query]`.
fn bare(body: Span<'_>) -> Result<Place<'_>, SpanError> {
    if split_query(body).0.find('@').is_some() {
        return Err(body.error(
            "what holds an @ needs a scheme such as redis:// in front \
             (a comma or a space in a password is written %2C or %20)",
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

/// Reads `/path[?query]`. The path is taken as it is, without decoding.
fn unix(body: Span<'_>) -> Result<Place<'_>, SpanError> {
    let (path, query) = split_query(body);
    if path.len() < 2 || !path.text().starts_with('/') {
        return Err(path.error("a Unix socket is written unix:///absolute/path"));
    }
    let address = Address::Unix(PathBuf::from(path.text()));
    let site = Site { address, others: Vec::new(), service: String::new(), database: None, query };
    Ok(Place { form: Form::Unix, security: Security::Plain, auth: None, site })
}

fn split_query(body: Span<'_>) -> (Span<'_>, Option<Span<'_>>) {
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
        return Err(rest
            .error("what is no parameter holds an @ (in a password write & as %26 and ? as %3F)"));
    }
    Ok(Site { address, others, service, database, query })
}

/// Reads the service and the database between the hosts and the query.
fn read_path(path: Span<'_>, form: Form) -> Result<(String, Option<u32>), SpanError> {
    let none = String::new();
    if form.stands_alone() && path.text().starts_with("//") {
        return Err(path.error("a scheme is written once, before the first host"));
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
        Form::Unix | Form::Tcp | Form::Url => {
            "behind the host only /number, a database, may follow"
        }
        Form::Sentinel => "behind the service only /number, a database, may follow",
        Form::Cluster => "behind the hosts only /0 may follow: a cluster has only database 0",
    };
    let number = path.text().strip_prefix('/').and_then(query::digits);
    match number.filter(|_| form != Form::Cluster) {
        Some(database) => Ok((service, Some(database))),
        None => Err(path.error(refusal)),
    }
}

/// Reads `/service` and gives what follows it.
fn read_service(path: Span<'_>) -> Result<(String, Span<'_>), SpanError> {
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !matches!(path.text().as_bytes(), [b'/', behind, ..] if *behind != b'/') {
        return Err(path.error("behind the sentinels stands /service: what they call the servers"));
    }
    let (service, rest) = path.after(1).split_before('/');
    let name = service.decoded(false)?;
    if !name.chars().all(named) {
        return Err(service.error("a service is named with letters, digits and _ . -"));
    }
    Ok((name, rest))
}

/// Reads `host[:port]`.
pub(super) fn tcp(authority: Span<'_>, default_port: u16) -> Result<Address, SpanError> {
    let (bare, bare_end) = bare_ipv6(authority).unzip();
    let host_end = if authority.text().starts_with('[') {
        authority.find(']').map(|end| end + 1)
    } else {
        bare_end.or(authority.find(':'))
    };
    let host_end = host_end.unwrap_or(authority.len());
    let (host, port) = authority.split_at(host_end);
    let port = match port.text() {
        "" | ":" => default_port,
        text => text
            .strip_prefix(':')
            .and_then(query::digits)
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port != 0)
            .ok_or_else(|| {
                port.error(
                    "the port is not a number from 1 to 65535 (an IPv6 address needs brackets, \
                     a comma or a space in a password is written %2C or %20)",
                )
            })?,
    };
    if host.is_empty() {
        return Err(authority.error("there is no host"));
    }
    if let Some(address) = bare {
        return Ok(Address::Tcp { host: address.to_string(), port });
    }
    // What the crate lets pass is wider than any name that can be resolved.
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let host = match UrlHost::parse(host.text()) {
        Ok(UrlHost::Domain(name)) if name.chars().all(named) => name,
        Ok(UrlHost::Ipv4(address)) => address.to_string(),
        Ok(UrlHost::Ipv6(address)) => address.to_string(),
        Ok(UrlHost::Domain(_)) | Err(_) => {
            return Err(host.error("the host is neither a name nor an IP address"));
        }
    };
    Ok(Address::Tcp { host, port })
}

/// An IPv6 address without brackets, and where its port's colon is: what
/// follows the last colon is the port, as phpredis reads it. Where that leaves
/// no address, as without a port, there is none.
fn bare_ipv6(authority: Span<'_>) -> Option<(Ipv6Addr, usize)> {
    let (host, port) = authority.text().rsplit_once(':')?;
    let is_port = query::digits(port).is_some_and(|port| (1..=65535).contains(&port));
    Some((host.parse().ok().filter(|_| is_port)?, host.len()))
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
                    "user and password stand once, before the first host \
                     (a comma in a password is written %2C)",
                ));
            }
            Ok(site) => return Ok((Some(user_info), site)),
            Err(next) => error = next,
        }
    }
    Err(error)
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
            user_info.error("before the @ there is no colon: write user:password@ or :password@")
        );
    };
    Ok(Auth::unless_empty(user.decoded(false)?, password.decoded(false)?))
}
