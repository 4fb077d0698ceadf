//! TLS as the save path's `stream[...]` options ask for it: verified by
//! default, against the system's certificate authorities or the given ones.
//!
//! - `files`: reading files, again when they change
//! - `verify`: which certificate of a server is accepted; `refusal`: why not
//! - `certificate`, `der`: what a certificate says; `private_key`: our own key
//! - `trouble`: the words for what fails; `probe`: what is spoken on a port

mod certificate;
mod der;
mod files;
mod private_key;
mod probe;
mod refusal;
mod trouble;
mod verify;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::client::socket::Socket;
use crate::config::server::{Address, Host};
use crate::config::tls::{TlsOptions, TlsVersion};
use certificate::Certificate;
use verify::{Trust, Verifier};

use files::Files;
pub use trouble::reworded;

/// What all connections to a host share, as its files say it now.
#[derive(Default)]
pub struct Context(Mutex<Option<Known>>);

struct Known {
    config: Arc<ClientConfig>,
    files: Files,
}

impl Context {
    /// The settings for a new connection.
    ///
    /// # Errors
    /// Words for the operator: which file cannot be read, or is not what it
    /// should be.
    pub fn config(&self, tls: &TlsOptions) -> Result<Arc<ClientConfig>, String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| known.files.are_the_same()) {
            return Ok(known.config.clone());
        }
        *known = None;
        let mut files = Files::default();
        let config = Arc::new(client_config(tls, &mut files)?);
        *known = Some(Known { config: config.clone(), files });
        Ok(config)
    }
}

/// Prepares what all connections to a host share.
///
/// # Errors
/// Words for the operator: which file cannot be read, or is not what it
/// should be.
fn client_config(tls: &TlsOptions, files: &mut Files) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let versions = match tls.version {
        None => &[&TLS12, &TLS13][..],
        Some(TlsVersion::Tls12) => &[&TLS12],
        Some(TlsVersion::Tls13) => &[&TLS13],
    };
    let verifier = Verifier {
        algorithms: provider.signature_verification_algorithms,
        trust: tls.verify_peer.then(|| trust(tls, files)).transpose()?,
        verify_name: tls.verify_peer_name,
    };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match &tls.local_cert {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            let own = own_certificate(tls, certificate, files, &provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own)))
        }
    };
    config.enable_sni = tls.sni;
    Ok(config)
}

/// Our own certificate, and its key.
fn own_certificate(
    tls: &TlsOptions,
    certificate: &Path,
    files: &mut Files,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, String> {
    let chain = certificates(certificate, &files.read(certificate)?)?;
    let path = tls.local_pk.as_deref().unwrap_or(certificate);
    let unusable =
        |reason: &str| format!("cannot read the private key {}: {reason}", path.display());
    let text = files.read(path)?;
    let passphrase = tls.passphrase.as_ref().map(|secret| secret.expose());
    let key = private_key::read(&text, passphrase).map_err(|reason| unusable(&reason))?;
    let key = provider.key_provider.load_private_key(key).map_err(|e| {
        unusable(&format!("supported are RSA from 2048 bits, ECDSA P-256 and P-384, Ed25519 ({e})"))
    })?;
    let first = chain.first().and_then(|der| Certificate::read(der)).map(|read| read.key.to_vec());
    if let (Some(ours), Some(theirs)) = (key.public_key(), first)
        && ours != SubjectPublicKeyInfoDer::from(theirs)
    {
        return Err(format!(
            "the key in {} does not belong to the certificate in {} (stream[local_pk], \
             stream[local_cert])",
            path.display(),
            certificate.display()
        ));
    }
    Ok(CertifiedKey::new(chain, key))
}

/// Performs the handshake; blocks for up to the host's connect timeout.
///
/// # Errors
/// Words for the operator, such as why the certificate was not accepted.
pub fn handshake(
    host: &Host,
    config: &Arc<ClientConfig>,
    mut socket: Socket,
) -> Result<StreamOwned<ClientConnection, Socket>, String> {
    let tls = host.tls.clone().unwrap_or_default();
    let name = match (&host.address, &tls.peer_name) {
        (_, Some(name)) => name.clone(),
        (Address::Tcp { host, .. }, None) => host.clone(),
        (Address::Unix(_), None) => "localhost".to_owned(),
    };
    let server_name = ServerName::try_from(name.clone())
        .map_err(|_| format!("'{name}' is not a host name that TLS can verify"))?;
    let mut connection = ClientConnection::new(config.clone(), server_name)
        .map_err(|e| format!("TLS cannot start: {e}"))?;
    socket.start(host.timeout);
    let silence = probe::SILENCE.min(host.timeout / 4);
    let is_plain = || probe::probe_plain(&host.address, silence);
    let failed = |e: io::Error| {
        let reason = match trouble::was_closed(&e) && is_plain() {
            true => trouble::PLAIN_TEXT.to_owned(),
            false => trouble::words(&e, &tls),
        };
        format!("TLS handshake failed: {reason}")
    };
    while connection.wants_write() {
        connection.write_tls(&mut socket).map_err(failed)?;
    }
    if silence >= probe::LEAST_SILENCE
        && !socket.wait_readable(silence).map_err(failed)?
        && is_plain()
    {
        return Err(format!("TLS handshake failed: {}", trouble::PLAIN_TEXT));
    }
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).map_err(failed)?;
    }
    Ok(StreamOwned::new(connection, socket))
}

/// What to tell about a server that closed a plain-text connection without an
/// answer; nothing if it does not speak TLS either. Connects to it, and blocks
/// for up to `limit`, at most half a second.
pub fn probe_wants_tls(host: &Host, limit: Duration) -> Option<&'static str> {
    probe::probe_tls(&host.address, limit).then_some(trouble::WANTS_TLS)
}

/// Takes records that arrived between exchanges, such as session tickets.
/// Returns false where they hold unexpected data, or the end.
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

/// The certificates in a file's text.
fn certificates(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates =
        CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>().map_err(|e| {
            format!("cannot read {}: it is not a complete PEM file ({e})", path.display())
        })?;
    match certificates.is_empty() {
        true => Err(format!("{} contains no certificate in PEM form", path.display())),
        false => Ok(certificates),
    }
}

/// Which authorities a server's certificate may come from.
fn trust(tls: &TlsOptions, files: &mut Files) -> Result<Trust, String> {
    let mut roots = RootCertStore::empty();
    let mut pinned = Vec::new();
    let mut sources = Vec::new();
    if let Some(file) = &tls.cafile {
        pinned = certificates(file, &files.read(file)?)?;
        roots.add_parsable_certificates(pinned.iter().cloned());
        sources.push(file.display().to_string());
    }
    if let Some(directory) = &tls.capath {
        for file in files.list(directory)? {
            // There may be other things as well.
            let found = files.read(&file).and_then(|text| certificates(&file, &text));
            roots.add_parsable_certificates(found.unwrap_or_default());
        }
        sources.push(directory.display().to_string());
    }
    if sources.is_empty() {
        let known = openssl_probe::probe();
        known.cert_file.iter().chain(&known.cert_dir).for_each(|path| files.watch(path));
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() && pinned.is_empty() && !tls.allow_self_signed {
        return Err(match &tls.capath {
            Some(directory) => {
                format!("{} contains no certificate in PEM form", directory.display())
            }
            None => "no certificate authority is known: install ca-certificates or set \
                     stream[cafile]"
                .to_owned(),
        });
    }
    let authorities = match sources.is_empty() {
        true => "the authorities of this system".to_owned(),
        false => format!("the authorities of {}", sources.join(" and ")),
    };
    Ok(Trust { roots, pinned, allow_self_signed: tls.allow_self_signed, authorities })
}
