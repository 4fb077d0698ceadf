//! TLS as the save path's `stream[...]` options ask for it: verified by
//! default, against the system's certificate authorities or the given ones.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme, StreamOwned,
};

use crate::save_path::{Address, Host, Tls};
use crate::socket::Socket;

/// Prepares what all connections to a host share.
///
/// # Errors
/// Words for the operator: which file cannot be read, or is not what it
/// should be.
pub fn client_config(tls: &Tls) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let verifier = Verifier::new(tls, provider)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match &tls.local_cert {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            let key = tls.local_pk.as_ref().unwrap_or(certificate);
            let key_der = PrivateKeyDer::from_pem_file(key).map_err(|e| match tls.passphrase {
                Some(_) => format!(
                    "cannot read the private key {}: keys with a passphrase are not supported, \
                     store it without one",
                    key.display()
                ),
                None => format!("cannot read a private key from {}: {e}", key.display()),
            })?;
            builder
                .with_client_auth_cert(certificates(certificate)?, key_der)
                .map_err(|e| format!("cannot use the certificate {}: {e}", certificate.display()))?
        }
    };
    config.enable_sni = tls.sni;
    Ok(config)
}

/// Performs the handshake within the host's connect timeout.
///
/// # Errors
/// Words for the operator, such as why the certificate was not accepted.
pub fn handshake(
    host: &Host,
    config: &Arc<ClientConfig>,
    mut socket: Socket,
) -> Result<StreamOwned<ClientConnection, Socket>, String> {
    let peer_name = host.tls.as_ref().and_then(|tls| tls.peer_name.clone());
    let name = match (&host.address, peer_name) {
        (_, Some(name)) => name,
        (Address::Tcp { host, .. }, None) => host.clone(),
        (Address::Unix(_), None) => "localhost".to_owned(),
    };
    let server_name = ServerName::try_from(name.clone())
        .map_err(|_| format!("'{name}' is not a host name that TLS can verify"))?;
    let mut connection = ClientConnection::new(config.clone(), server_name)
        .map_err(|e| format!("TLS cannot start: {e}"))?;
    socket.start(host.timeout);
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).map_err(|e| {
            let remedy = match e.to_string().contains("UnknownIssuer") {
                true => " (no known authority has signed it: is stream[cafile] set?)",
                false => "",
            };
            format!("TLS handshake failed: {e}{remedy}")
        })?;
    }
    Ok(StreamOwned::new(connection, socket))
}

/// Takes records that arrived between exchanges, such as session tickets.
/// Returns false where they hold data nobody asked for, or the end.
pub fn accept_records(connection: &mut ClientConnection, bytes: &[u8]) -> bool {
    has_data_after(connection, bytes).is_ok_and(|data| !data)
}

/// Takes `bytes` off the wire. Returns whether there is data to read now.
///
/// # Errors
/// The other side has ended the connection, or broken the protocol.
pub fn has_data_after(connection: &mut ClientConnection, mut bytes: &[u8]) -> io::Result<bool> {
    let mut data = false;
    while !bytes.is_empty() {
        connection.read_tls(&mut bytes)?;
        let state = connection.process_new_packets().map_err(io::Error::other)?;
        if state.peer_has_closed() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        data = state.plaintext_bytes_to_read() > 0;
    }
    Ok(data)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable = |e: &dyn fmt::Display| format!("cannot read {}: {e}", path.display());
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(|e| unreadable(&e))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| unreadable(&e))?;
    match certificates.is_empty() {
        true => Err(format!("{} holds no certificate", path.display())),
        false => Ok(certificates),
    }
}

/// The authorities that a server's certificate may come from.
fn roots(tls: &Tls) -> Result<RootCertStore, String> {
    let mut files = Vec::new();
    files.extend(tls.cafile.clone());
    if let Some(directory) = &tls.capath {
        let entries = std::fs::read_dir(directory)
            .map_err(|e| format!("cannot read {}: {e}", directory.display()))?;
        files.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()));
    }
    let mut roots = RootCertStore::empty();
    if tls.cafile.is_none() && tls.capath.is_none() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    for file in files {
        match certificates(&file) {
            Ok(found) => {
                roots.add_parsable_certificates(found);
            }
            // A directory of authorities may hold other things as well.
            Err(_) if Some(&file) != tls.cafile.as_ref() => {}
            Err(reason) => return Err(reason),
        }
    }
    Ok(roots)
}

/// Checks a server's certificate as far as the options ask for it. The
/// handshake itself, that the server owns the certificate, is always checked.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// None where `verify_peer` is off.
    chain: Option<Arc<WebPkiServerVerifier>>,
    verify_name: bool,
    allow_self_signed: bool,
    /// The certificates of `cafile`: a server that shows one of them is
    /// trusted, also where that is not fit to be an authority.
    pinned: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(tls: &Tls, provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let chain = match tls.verify_peer {
            false => None,
            true => {
                let mut roots = roots(tls)?;
                if roots.is_empty() && tls.allow_self_signed {
                    // The builder wants one; nothing is signed by this one.
                    roots.roots.push(no_authority());
                }
                let builder =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
                Some(builder.build().map_err(|_| {
                    "no certificate authority is known: install ca-certificates or set \
                     stream[cafile]"
                        .to_owned()
                })?)
            }
        };
        let pinned = match (&chain, &tls.cafile) {
            (Some(_), Some(file)) => certificates(file)?,
            _ => Vec::new(),
        };
        Ok(Self {
            provider,
            chain,
            pinned,
            verify_name: tls.verify_peer_name,
            allow_self_signed: tls.allow_self_signed,
        })
    }

    /// Whether the options accept a certificate that the check refused.
    fn is_accepted(
        &self,
        refusal: &rustls::Error,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
    ) -> bool {
        use CertificateError as Bad;
        let rustls::Error::InvalidCertificate(reason) = refusal else { return false };
        let Ok(parsed) = webpki::EndEntityCert::try_from(certificate) else { return false };
        match reason {
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => !self.verify_name,
            // Nobody known has signed it, or it is an authority itself.
            Bad::UnknownIssuer | Bad::Other(_) => {
                let self_signed = parsed.issuer() == parsed.subject();
                let trusted = self.pinned.iter().any(|known| known == certificate)
                    || (self.allow_self_signed && self_signed);
                let named = parsed.verify_is_valid_for_subject_name(name).is_ok();
                trusted && (named || !self.verify_name)
            }
            _ => false,
        }
    }
}

fn no_authority() -> rustls::pki_types::TrustAnchor<'static> {
    rustls::pki_types::TrustAnchor {
        subject: Vec::new().into(),
        subject_public_key_info: Vec::new().into(),
        name_constraints: None,
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else {
            // Whoever signed it, it must be for this name, unless that is off too.
            if self.verify_name {
                let parsed = webpki::EndEntityCert::try_from(certificate)
                    .map_err(|_| CertificateError::BadEncoding)?;
                parsed
                    .verify_is_valid_for_subject_name(name)
                    .map_err(|_| CertificateError::NotValidForName)?;
            }
            return Ok(ServerCertVerified::assertion());
        };
        match chain.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(error) if self.is_accepted(&error, certificate, name) => {
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
