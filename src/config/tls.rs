//! How to encrypt a connection.
//!
//! Only the options. Files are opened, and keys decrypted, by who connects.

use std::fmt;
use std::path::PathBuf;

use crate::config::auth::Secret;

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
pub struct TlsOptions {
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

impl Default for TlsOptions {
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
