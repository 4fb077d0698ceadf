//! Why a server's certificate is not accepted, in words: what is wrong with
//! which certificate, and which option accepts it.

use std::fmt;

use rustls::CertificateError;
use rustls::pki_types::UnixTime;

use super::certificate::{Certificate, date, line};

/// A certificate that is not accepted. Shows nothing secret.
#[derive(Debug)]
pub struct Refusal {
    what: String,
    remedy: String,
    /// Whose it is.
    whose: String,
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, whose, remedy } = self;
        write!(f, "invalid peer certificate: {what}; it is the certificate of {whose}; {remedy}")
    }
}

/// What all certificates are held against, for a message.
pub struct Against<'a> {
    /// Where the trusted authorities are from.
    pub authorities: &'a str,
    /// Whether an authority of the issuer's name is trusted.
    pub knows_issuer: bool,
    /// What time it is.
    pub now: UnixTime,
}

impl Refusal {
    fn new(certificate: Option<&Certificate<'_>>, what: String, remedy: &str) -> Self {
        let whose = certificate.map_or_else(
            || "an unknown owner".to_owned(),
            |read| format!("{}, issued by {}", line(read.subject), line(read.issuer)),
        );
        Self { what, whose, remedy: remedy.to_owned() }
    }

    /// It cannot be read.
    pub fn of_encoding() -> Self {
        let what = "it cannot be read (BadEncoding)".to_owned();
        Self::new(None, what, "the server needs a new one")
    }

    /// It is for other hosts.
    pub fn of_name(certificate: &Certificate<'_>, name: &str) -> Self {
        let names = certificate.names();
        let more = match names.len().saturating_sub(3) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let shown = names.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
        let only = match shown.is_empty() {
            true => "it names no host".to_owned(),
            false => format!("it is for {shown}{more}"),
        };
        let what = format!("it is not valid for {name}: {only} (NotValidForName)");
        let remedy = "connect to one of its names, or set stream[peer_name]= to one of them; \
                      stream[verify_peer_name]=0 accepts any name";
        Self::new(Some(certificate), what, remedy)
    }

    /// It is too old, or too young; none if it is neither.
    pub fn of_time(certificate: &Certificate<'_>, now: UnixTime) -> Option<Self> {
        let seconds = i64::try_from(now.as_secs()).ok()?;
        let (what, remedy) = if seconds > certificate.not_after {
            let date = date(certificate.not_after);
            (format!("it has expired on {date} (Expired)"), "the server needs a new one; ")
        } else if seconds < certificate.not_before {
            let date = date(certificate.not_before);
            let what = format!("it is not valid before {date} (NotValidYet)");
            (what, "is the clock of this machine correct? ")
        } else {
            return None;
        };
        let remedy = format!("{remedy}stream[verify_peer]=0 accepts it meanwhile");
        Some(Self::new(Some(certificate), what, &remedy))
    }

    /// It signs itself, and that is not allowed.
    pub fn of_self_signed(certificate: &Certificate<'_>) -> Self {
        let what =
            "it is self-signed, and not one of the trusted certificates (UnknownIssuer)".to_owned();
        let remedy = "copy it to this machine and set stream[cafile]= to its file, or accept any \
                      such certificate with stream[allow_self_signed]=1";
        Self::new(Some(certificate), what, remedy)
    }

    /// The verifier does not accept its chain.
    pub fn of_chain(
        certificate: Option<&Certificate<'_>>,
        error: &rustls::Error,
        against: &Against<'_>,
    ) -> Self {
        let Some(read) = certificate else { return Self::of_encoding() };
        if let Some(refusal) = Self::of_time(read, against.now) {
            return refusal;
        }
        let (what, remedy) = words(read, error, against);
        Self::new(certificate, what, &remedy)
    }
}

/// What the remedy ends with where there is no better one.
const OFF: &str = "stream[verify_peer]=0 accepts it";

/// What is wrong, and what to do about it.
fn words(read: &Certificate<'_>, error: &rustls::Error, against: &Against<'_>) -> (String, String) {
    use CertificateError as Bad;
    let rustls::Error::InvalidCertificate(reason) = error else {
        return (format!("it cannot be verified ({error})"), OFF.to_owned());
    };
    let authorities = against.authorities;
    if read.version < 3 {
        return of_version(read.version, authorities);
    }
    match reason {
        Bad::UnknownIssuer => (
            format!(
                "no known authority has signed it: its issuer is not among {authorities} \
                 (UnknownIssuer)"
            ),
            format!(
                "set stream[cafile]= to the file of that issuer, or let the server send the \
                 intermediate certificates too; {OFF}"
            ),
        ),
        Bad::BadSignature if against.knows_issuer => (
            format!(
                "its signature is wrong: {authorities} hold an issuer of that name, but with \
                 another key (BadSignature)"
            ),
            "is stream[cafile] the file of the authority that signs now?".to_owned(),
        ),
        Bad::BadSignature => (
            "its signature is wrong (BadSignature)".to_owned(),
            "the server needs a new one".into(),
        ),
        // Told as authority only where the verifier did not mind anything else.
        Bad::Other(_) if read.is_authority => (
            "it is that of an authority, which may sign others, and none of the trusted ones \
             itself has signed it for a server (CaUsedAsEndEntity)"
                .to_owned(),
            format!("set stream[cafile]= to the file of its issuer, or to exactly this one; {OFF}"),
        ),
        other => of_rule(other),
    }
}

/// It is older than what chains are made of.
fn of_version(version: u8, authorities: &str) -> (String, String) {
    let what = format!(
        "it is of X.509 version {version}, and not signed by one of {authorities} itself \
         (UnsupportedCertVersion)"
    );
    let remedy =
        format!("set stream[cafile]= to the file of its issuer, or to exactly this one; {OFF}");
    (what, remedy)
}

/// A rule that it, or one that signs it, breaks.
fn of_rule(rule: &CertificateError) -> (String, String) {
    use CertificateError as Bad;
    match rule {
        Bad::Expired | Bad::ExpiredContext { .. } => (
            "an intermediate certificate has expired (Expired)".to_owned(),
            format!("the server must send a new one with it; {OFF}"),
        ),
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => (
            "an intermediate certificate is not valid yet (NotValidYet)".to_owned(),
            format!("is the clock of this machine correct? {OFF}"),
        ),
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => (
            "it is not meant for servers: its extended key usage lacks serverAuth (InvalidPurpose)"
                .to_owned(),
            format!("the server needs another one; {OFF}"),
        ),
        Bad::UnsupportedSignatureAlgorithmContext { .. }
        | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => (
            "it, or an intermediate certificate, is signed with an algorithm that is not \
             supported (UnsupportedSignatureAlgorithm)"
                .to_owned(),
            format!(
                "supported are RSA from 2048 to 8192 bits, ECDSA P-256 and P-384, each with \
                 SHA-256 or better, and Ed25519; {OFF}"
            ),
        ),
        other => (format!("it breaks a rule for certificates ({other})"), OFF.to_owned()),
    }
}
