//! Checks a server's certificate as far as the options ask for it.
//!
//! As PHP does it: `verify_peer` is about who has signed it, and
//! `verify_peer_name` about whom it is for; each counts without the other.
//! More than the verifier of `webpki` accepts are a certificate that is in
//! `cafile` itself, one that signs itself where that is allowed, one of X.509
//! version 1 or that may sign others, if a trusted authority itself has signed
//! it, and a common name where
//! there is no alternative name.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, OtherError, PeerMisbehaved, RootCertStore,
    SignatureScheme,
};

use super::certificate::Certificate;
use super::der::sequence;
use super::refusal::{Against, Refusal};

/// Sizes of RSA keys, in bits, that signatures can be verified of.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Signatures that cannot be verified, and are taken from servers whose
/// certificate is not verified either.
const UNVERIFIABLE: [SignatureScheme; 3] = [
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED448,
    SignatureScheme::RSA_PKCS1_SHA1,
];

/// Whom a server's certificate may come from.
#[derive(Debug)]
pub struct Trust {
    /// Authorities.
    pub roots: RootCertStore,
    /// The certificates of `cafile`: a server that shows one of them is
    /// trusted, also where that is not fit to be an authority.
    pub pinned: Vec<CertificateDer<'static>>,
    /// Whether one that signs itself is trusted.
    pub allow_self_signed: bool,
    /// Where the authorities are from, for a message.
    pub authorities: String,
}

/// Checks a server's certificate.
#[derive(Debug)]
pub struct Verifier {
    /// What signatures can be verified with.
    pub algorithms: WebPkiSupportedAlgorithms,
    /// None where `verify_peer` is off.
    pub trust: Option<Trust>,
    /// Whether it must be for the host.
    pub verify_name: bool,
}

impl Verifier {
    fn check(
        &self,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let read = Certificate::read(der);
        if let Some(trust) = &self.trust {
            trust.check(&self.algorithms, der, read.as_ref(), intermediates, now)?;
        }
        if !self.verify_name {
            return Ok(());
        }
        let read = read.ok_or_else(Refusal::of_encoding)?;
        let constrained =
            self.trust.as_ref().is_some_and(|trust| trust.constrains(&read, intermediates));
        match is_for(der, &read, name, constrained) {
            true => Ok(()),
            false => Err(Refusal::of_name(&read, &name.to_str())),
        }
    }

    /// Whether the owner of the certificate has made `signature`. Where no authority
    /// vouches for the certificate, one that cannot be verified is taken as
    /// it is: it would prove nothing that is not open anyway.
    fn check_signature(
        &self,
        der: &CertificateDer<'_>,
        scheme: SignatureScheme,
        verify: impl FnOnce(&SubjectPublicKeyInfoDer<'_>) -> Result<(), rustls::Error>,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let read = Certificate::read(der);
        let fits = read
            .as_ref()
            .is_some_and(|read| read.rsa_bits().is_none_or(|bits| RSA_BITS.contains(&bits)));
        let known = self.algorithms.mapping.iter().any(|(known, _)| *known == scheme);
        if self.trust.is_none() && !(fits && known) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let read = read.ok_or(CertificateError::BadEncoding)?;
        verify(&SubjectPublicKeyInfoDer::from(read.key))?;
        Ok(HandshakeSignatureValid::assertion())
    }
}

impl Trust {
    fn check(
        &self,
        algorithms: &WebPkiSupportedAlgorithms,
        der: &CertificateDer<'_>,
        read: Option<&Certificate<'_>>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let verdict = ParsedCertificate::try_from(der).and_then(|parsed| {
            let (roots, algorithms) = (&self.roots, algorithms.all);
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                roots,
                intermediates,
                now,
                algorithms,
            )
        });
        let Err(error) = verdict else { return Ok(()) };
        let signs_itself = read.is_some_and(|read| {
            read.names_itself() && read.is_signed_by(read.key, algorithms.all) != Some(false)
        });
        if let Some(read) = read {
            let trusted = self.pinned.iter().any(|known| known == der)
                || (self.allow_self_signed && signs_itself)
                || (is_odd(read) && self.has_signed(read, algorithms));
            match trusted {
                true => return Refusal::of_time(read, now).map_or(Ok(()), Err),
                false if signs_itself => return Err(Refusal::of_self_signed(read)),
                false => {}
            }
        }
        let knows_issuer = read.is_some_and(|read| self.anchors_of(read.issuer).next().is_some());
        let against = Against { authorities: &self.authorities, knows_issuer, now };
        Err(Refusal::of_chain(read, &error, &against))
    }

    /// Whether one of the authorities itself has signed it.
    fn has_signed(&self, read: &Certificate<'_>, algorithms: &WebPkiSupportedAlgorithms) -> bool {
        let free = |anchor: &&rustls::pki_types::TrustAnchor<'_>| anchor.name_constraints.is_none();
        self.anchors_of(read.issuer).filter(free).any(|anchor| {
            let key = sequence(&anchor.subject_public_key_info);
            read.is_signed_by(&key, algorithms.all) == Some(true)
        })
    }

    fn anchors_of<'a>(
        &'a self,
        name: &'a [u8],
    ) -> impl Iterator<Item = &'a rustls::pki_types::TrustAnchor<'static>> {
        self.roots.roots.iter().filter(move |anchor| *anchor.subject == *name)
    }

    /// Whether an issuer above the certificate limits for which names it may
    /// be: the verifier has held its alternative names against that, and not
    /// its common name.
    fn constrains(&self, read: &Certificate<'_>, intermediates: &[CertificateDer<'_>]) -> bool {
        let above: Vec<_> = intermediates.iter().filter_map(|der| Certificate::read(der)).collect();
        let mut issuers = above.iter().map(|one| one.issuer).chain([read.issuer]);
        above.iter().any(|one| one.has_constraints)
            || issuers
                .any(|name| self.anchors_of(name).any(|anchor| anchor.name_constraints.is_some()))
    }
}

/// Whether the verifier of `webpki` refuses for its form alone what may be a
/// server's: X.509 version 1, or one that may sign others too, which is what
/// the `openssl` command makes unless told otherwise.
fn is_odd(read: &Certificate<'_>) -> bool {
    (read.version == 1 || read.is_authority) && read.may_serve && !read.has_constraints
}

/// Whether a certificate is for a host. What `webpki` does not find there, as
/// it reads no common names and no X.509 v1, is looked for again.
fn is_for(
    der: &CertificateDer<'_>,
    read: &Certificate<'_>,
    name: &ServerName<'_>,
    constrained: bool,
) -> bool {
    let found = webpki::EndEntityCert::try_from(der)
        .is_ok_and(|parsed| parsed.verify_is_valid_for_subject_name(name).is_ok());
    found || !constrained && read.is_for(&plain(name))
}

/// The name as certificates have it.
fn plain(name: &ServerName<'_>) -> String {
    match name {
        ServerName::IpAddress(address) => IpAddr::from(*address).to_string(),
        other => other.to_str().trim_end_matches('.').to_owned(),
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.check(certificate, intermediates, name, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(refusal) => Err(CertificateError::Other(OtherError(Arc::new(refusal))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(certificate, signature.scheme, |key| {
            // TLS 1.2 does not say which curve belongs to a scheme.
            let mut mapping = self.algorithms.mapping.iter();
            let (_, algorithms) = mapping
                .find(|(scheme, _)| *scheme == signature.scheme)
                .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
            let entity = webpki::RawPublicKeyEntity::try_from(key)
                .map_err(|_| CertificateError::BadEncoding)?;
            let verifies =
                |algorithm: &&'static dyn rustls::pki_types::SignatureVerificationAlgorithm| {
                    entity.verify_signature(*algorithm, message, signature.signature()).is_ok()
                };
            match algorithms.iter().any(verifies) {
                true => Ok(()),
                false => Err(CertificateError::BadSignature.into()),
            }
        })
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(certificate, signature.scheme, |key| {
            verify_tls13_signature_with_raw_key(message, key, signature, &self.algorithms).map(drop)
        })
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.algorithms.supported_schemes();
        schemes.extend(UNVERIFIABLE.iter().filter(|_| self.trust.is_none()));
        schemes
    }
}
