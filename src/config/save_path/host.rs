//! `host[:port]`, and the form that a seed of a cluster has.
//!
//! The `url` crate judges the host.

use std::net::Ipv6Addr;

use url::Host as UrlHost;

use crate::config::server::Address;

use super::scheme::{self, Form, Security};
use super::span::{Span, SpanError};

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
            .and_then(digits)
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port != 0)
            .ok_or_else(|| {
                port.error(
                    "the port must be a number from 1 to 65535 (write an IPv6 address in \
                     brackets; in a password, write a comma as %2C and a space as %20)",
                )
            })?,
    };
    if host.is_empty() {
        return Err(authority.error("missing host: write host:port, e.g. 127.0.0.1:6379"));
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
            return Err(host.error("the host must be a host name or an IP address"));
        }
    };
    Ok(Address::Tcp { host, port })
}

/// An IPv6 address without brackets, and where its port's colon is: what
/// follows the last colon is the port, as phpredis reads it. Where that leaves
/// no address, as without a port, there is none.
fn bare_ipv6(authority: Span<'_>) -> Option<(Ipv6Addr, usize)> {
    let (host, port) = authority.text().rsplit_once(':')?;
    let is_port = digits(port).is_some_and(|port| (1..=65535).contains(&port));
    Some((host.parse().ok().filter(|_| is_port)?, host.len()))
}

/// Reads the value of `seed[]`, and whether it asks for TLS or for plain text.
///
/// # Errors
/// Why it cannot be used. The offset means nothing: the value is decoded.
pub(super) fn seed(value: Span<'_>) -> Result<(Option<Security>, Address), SpanError> {
    let value = value.decoded(true)?;
    let (scheme, site) = scheme::split_scheme(Span::of(&value));
    let security = match scheme.map(scheme::announced) {
        None => None,
        Some(Some((Form::Tcp, security))) => Some(security),
        Some(_) => {
            return Err(
                site.error("only tcp://, tls:// or ssl:// may come before the host of a seed")
            );
        }
    };
    Ok((security, tcp(site, Form::Cluster.default_port())?))
}

/// A number without sign or space.
pub(super) fn digits(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}
