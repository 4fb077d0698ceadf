//! `stream[...]`: PHP's names for what a TLS connection checks and presents.
//!
//! Only reads them. Files are opened, and keys decrypted, by who connects.

use std::fmt;
use std::path::PathBuf;

use super::auth::Secret;

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2
    Tls12,
    /// 1.3
    Tls13,
}

/// As in `TLS 1.2`.
impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        })
    }
}

/// How to encrypt a connection. Defaults to PHP's defaults: everything about
/// the server's certificate is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The only version to speak. Defaults to `None`: 1.3, or else 1.2.
    pub version: Option<TlsVersion>,
    /// Whether the certificate must come from a trusted authority. Defaults
    /// to true.
    pub verify_peer: bool,
    /// Whether the certificate must be for the host. Defaults to true.
    pub verify_peer_name: bool,
    /// The name it must be for. Defaults to the host of the address.
    pub peer_name: Option<String>,
    /// Whether a certificate that signs itself is trusted. Defaults to false.
    pub allow_self_signed: bool,
    /// A PEM file of trusted authorities. Defaults to the system's.
    pub cafile: Option<PathBuf>,
    /// A directory of trusted authorities. Defaults to the system's.
    pub capath: Option<PathBuf>,
    /// A PEM file with the certificate to present, and its key unless
    /// `local_pk` has it. Defaults to presenting none.
    pub local_cert: Option<PathBuf>,
    /// A PEM file with the key of `local_cert`.
    pub local_pk: Option<PathBuf>,
    /// What the key is encrypted with. Defaults to `None`: not encrypted.
    pub passphrase: Option<Secret>,
    /// Whether the name is sent to the server (`SNI_enabled`). Defaults to
    /// true.
    pub sni: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            version: None,
            verify_peer: true,
            verify_peer_name: true,
            peer_name: None,
            allow_self_signed: false,
            cafile: None,
            capath: None,
            local_cert: None,
            local_pk: None,
            passphrase: None,
            sni: true,
        }
    }
}

impl Tls {
    /// Sets `stream[option]`; an empty name or path is none, as in PHP.
    ///
    /// # Errors
    /// Why the option cannot be honoured, to be put behind its name.
    pub(super) fn set(&mut self, option: &str, value: String) -> Result<(), &'static str> {
        let text = |value: String| Some(value).filter(|value| !value.is_empty());
        match option {
            "verify_peer" => self.verify_peer = switch(&value)?,
            "verify_peer_name" => self.verify_peer_name = switch(&value)?,
            "peer_name" => self.peer_name = text(value),
            "allow_self_signed" => self.allow_self_signed = switch(&value)?,
            "cafile" => self.cafile = path(value)?,
            "capath" => self.capath = path(value)?,
            "local_cert" => self.local_cert = path(value)?,
            "local_pk" => self.local_pk = path(value)?,
            "passphrase" => self.passphrase = text(value).map(Secret::new),
            "SNI_enabled" => self.sni = switch(&value)?,
            _ => return Err("is not a stream option that this extension can honour"),
        }
        Ok(())
    }
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
