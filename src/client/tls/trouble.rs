//! Why a handshake or an encrypted exchange has failed, in words.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, OtherError};

use super::refusal::Refusal;
use crate::config::tls::TlsOptions;

/// What is said where no TLS is spoken.
pub const PLAIN_TEXT: &str = "the server answers in plain text: there is no TLS on this port; \
                              write tcp:// or redis://, or give the port that has TLS";

/// What is said where nothing but TLS is spoken.
pub const WANTS_TLS: &str = "the server wants TLS on this port: write tls:// or rediss:// \
                             (or give its port for plain text)";

/// The words for an error of the TLS library, or of the network.
pub fn words(error: &io::Error, tls: &TlsOptions) -> String {
    let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return match was_closed(error) {
            true => {
                format!("the server closed the connection ({error}): is this its port for TLS?")
            }
            false => error.to_string(),
        };
    };
    match inner {
        Error::InvalidCertificate(CertificateError::Other(OtherError(refusal)))
            if refusal.is::<Refusal>() =>
        {
            refusal.to_string()
        }
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            "the server has not proved that it owns the key of its certificate (BadSignature)"
                .into()
        }
        Error::PeerIncompatible(reason) => format!(
            "the server and this extension have no TLS version or cipher in common ({reason:?}){}",
            wanted(tls)
        ),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => PLAIN_TEXT.to_owned(),
        Error::AlertReceived(alert) => of_alert(*alert, tls),
        other => other.to_string(),
    }
}

/// Whether the server ended the connection without a word.
pub fn was_closed(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::UnexpectedEof | Kind::ConnectionReset | Kind::BrokenPipe)
}

/// Which versions are asked for, where not all are.
fn wanted(tls: &TlsOptions) -> String {
    match tls.version {
        None => " (this extension supports TLS 1.2 and 1.3)".to_owned(),
        Some(version) => format!(" (the save path asks for {version} only)"),
    }
}

/// What the server has to say against us.
fn of_alert(alert: AlertDescription, tls: &TlsOptions) -> String {
    use AlertDescription as Alert;
    let shown = tls.local_cert.as_ref().map(|file| file.display().to_string());
    let reason = match (alert, shown) {
        (Alert::CertificateRequired | Alert::BadCertificate, None) => {
            "the server requires a client certificate: set stream[local_cert]= and \
             stream[local_pk]="
                .into()
        }
        (Alert::HandshakeFailure, shown) => format!(
            "there is no common TLS version or cipher{}, or the server's certificate has a key \
             that is not supported (supported are RSA from 2048 bits, ECDSA P-256 and P-384, \
             Ed25519), or the server {}",
            wanted(tls),
            match shown {
                None =>
                    "requires a client certificate (stream[local_cert]=, stream[local_pk]=)".into(),
                Some(file) => format!("does not accept the client certificate in {file}"),
            }
        ),
        (Alert::CertificateExpired, Some(file)) => {
            format!("the client certificate in {file} has expired (stream[local_cert])")
        }
        (Alert::UnknownCA, Some(file)) => format!(
            "the server does not know the authority that signed the client certificate in {file} \
             (stream[local_cert]): add that authority to the server's tls-ca-cert-file"
        ),
        (
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::DecryptError
            | Alert::AccessDenied,
            Some(file),
        ) => format!(
            "the server does not accept the client certificate in {file} (stream[local_cert])"
        ),
        (Alert::ProtocolVersion, _) => {
            format!("the server does not support this version of TLS{}", wanted(tls))
        }
        (Alert::UnrecognisedName, _) => {
            "the server knows no host of this name: set stream[peer_name]= or \
             stream[SNI_enabled]=0"
                .into()
        }
        _ => "the server gives no other reason".into(),
    };
    format!("the server refused the connection with the TLS alert {alert:?}: {reason}")
}

/// The same error with words for the operator.
pub fn reworded(error: io::Error, tls: &TlsOptions) -> io::Error {
    match error.get_ref().is_some_and(|inner| inner.is::<Error>()) {
        true => io::Error::new(error.kind(), words(&error, tls)),
        false => error,
    }
}
