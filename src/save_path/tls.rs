//! `stream[...]`: PHP's names for what a TLS connection checks and presents.
//!
//! Only reads them. Files are opened, and keys decrypted, by who connects.

use std::path::PathBuf;

use super::auth::Secret;

/// How to encrypt a connection. Defaults to PHP's defaults: everything about
/// the server's certificate is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
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
            "cafile" => self.cafile = text(value).map(PathBuf::from),
            "capath" => self.capath = text(value).map(PathBuf::from),
            "local_cert" => self.local_cert = text(value).map(PathBuf::from),
            "local_pk" => self.local_pk = text(value).map(PathBuf::from),
            "passphrase" => self.passphrase = text(value).map(Secret::new),
            "SNI_enabled" => self.sni = switch(&value)?,
            _ => return Err("is not a stream option that this extension can honour"),
        }
        Ok(())
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
