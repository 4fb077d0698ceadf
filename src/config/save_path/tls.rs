//! `stream[...]`: PHP's names for what a TLS connection checks and presents.

use std::path::PathBuf;

use crate::config::auth::Secret;
use crate::config::tls::TlsOptions;

/// Sets `stream[option]` in `tls`; an empty name or path is none, as in PHP.
///
/// # Errors
/// Why the option cannot be honoured, to be put after its name.
pub(super) fn set(tls: &mut TlsOptions, option: &str, value: String) -> Result<(), &'static str> {
    let text = |value: String| Some(value).filter(|value| !value.is_empty());
    match option {
        "verify_peer" => tls.verify_peer = switch(&value)?,
        "verify_peer_name" => tls.verify_peer_name = switch(&value)?,
        "peer_name" => tls.peer_name = text(value),
        "allow_self_signed" => tls.allow_self_signed = switch(&value)?,
        "cafile" => tls.cafile = path(value)?,
        "capath" => tls.capath = path(value)?,
        "local_cert" => tls.local_cert = path(value)?,
        "local_pk" => tls.local_pk = path(value)?,
        "passphrase" => tls.passphrase = text(value).map(Secret::new),
        "SNI_enabled" => tls.sni = switch(&value)?,
        _ => return Err("is not a supported TLS option"),
    }
    Ok(())
}

/// Reads the name of a file, as it is or as PHP's `file://` URL. Other wrappers
/// of PHP's are not open to us.
fn path(value: String) -> Result<Option<PathBuf>, &'static str> {
    let is_url = value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file://"));
    let path = match value.get(7..).filter(|_| is_url) {
        Some(path) => path
            .strip_prefix("localhost/")
            .map(|path| format!("/{path}"))
            .unwrap_or(path.to_owned()),
        None if value.contains("://") => return Err("must be a path, or file:///path"),
        None => value,
    };
    match path.is_empty() {
        true => Ok(None),
        false if is_url && !path.starts_with('/') => Err("must be a path, or file:///path"),
        false => Ok(Some(PathBuf::from(path))),
    }
}

/// Reads a switch. Words for "off" are refused, because PHP reads every word
/// as "on": a fleet with phpredis would not agree.
pub(super) fn switch(value: &str) -> Result<bool, &'static str> {
    match value {
        "" | "0" => Ok(false),
        "1" | "true" | "on" | "yes" => Ok(true),
        _ => Err("must be 0 or 1"),
    }
}
