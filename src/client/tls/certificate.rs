//! What a certificate says, read also where the verifier refuses to: it knows
//! no X.509 v1, and its errors do not say whose certificate is wrong.
//!
//! Trusts nothing: whether what is read here counts is decided in `verify`.

use std::net::IpAddr;

use rustls::pki_types::{SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer};

use super::der::{Der, Element};

const SEQUENCE: u8 = 0x30;
const BOOLEAN: u8 = 0x01;
const BIT_STRING: u8 = 0x03;
const OBJECT_ID: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]`: the version; `[3]`: the extensions.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// In a subject alternative name.
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: [u8; 3] = [0x55, 0x1d, 0x13];
const NAME_CONSTRAINTS: [u8; 3] = [0x55, 0x1d, 0x1e];
const KEY_USAGE: [u8; 3] = [0x55, 0x1d, 0x0f];
const EXTENDED_KEY_USAGE: [u8; 3] = [0x55, 0x1d, 0x25];
/// Uses of a key.
const SERVER: [u8; 8] = [0x2b, 6, 1, 5, 5, 7, 3, 1];
const ANY_USE: [u8; 4] = [0x55, 0x1d, 0x25, 0];
const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// A certificate, as it is written.
#[derive(Debug)]
pub struct Certificate<'a> {
    /// 1 or 3.
    pub version: u8,
    /// Who has signed it: the content of a distinguished name.
    pub issuer: &'a [u8],
    /// Whose it is.
    pub subject: &'a [u8],
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    /// The names of hosts it is for; without any, the common name counts.
    pub dns_names: Vec<&'a str>,
    /// The addresses it is for.
    pub addresses: Vec<IpAddr>,
    /// Whether it may sign others.
    pub is_authority: bool,
    /// Whether it may be a server's: it is not meant for something else only,
    /// and asks for nothing that is not understood here.
    pub may_serve: bool,
    /// Whether it limits for which names those that it signs may be.
    pub has_constraints: bool,
    /// The public key, with its algorithm.
    pub key: &'a [u8],
    signed: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads DER; none if it is no certificate.
    pub fn read(der: &'a [u8]) -> Option<Self> {
        let mut outer = Der(der).take_if(SEQUENCE)?.inside();
        let to_be_signed = outer.take_if(SEQUENCE)?;
        let algorithm = outer.take_if(SEQUENCE)?.content;
        // The first byte says how many bits are not used: none.
        let signature = outer.take_if(BIT_STRING)?.content.strip_prefix(&[0])?;
        let mut fields = to_be_signed.inside();
        let version = match fields.take_if(VERSION) {
            Some(version) => version.inside().next()?.content.first()?.checked_add(1)?,
            None => 1,
        };
        let _serial_number = fields.next()?;
        let _algorithm = fields.take_if(SEQUENCE)?;
        let issuer = fields.take_if(SEQUENCE)?.content;
        let mut validity = fields.take_if(SEQUENCE)?.inside();
        let subject = fields.take_if(SEQUENCE)?.content;
        let key = fields.take_if(SEQUENCE)?.whole;
        let mut certificate = Self {
            version,
            issuer,
            subject,
            not_before: time(validity.next()?)?,
            not_after: time(validity.next()?)?,
            dns_names: Vec::new(),
            addresses: Vec::new(),
            is_authority: false,
            may_serve: true,
            has_constraints: false,
            key,
            signed: to_be_signed.whole,
            algorithm,
            signature,
        };
        if let Some(extensions) = fields.find(|field| field.tag == EXTENSIONS) {
            extensions.inside().next()?.inside().for_each(|one| certificate.extend(one));
        }
        Some(certificate)
    }

    fn extend(&mut self, extension: Element<'a>) {
        let mut parts = extension.inside();
        let id = parts.next().map(|id| id.content);
        let is_critical = parts.take_if(BOOLEAN).is_some_and(|flag| flag.content == [0xff]);
        let value = parts.find(|part| part.tag == OCTET_STRING).map(|value| value.inside());
        let inner = value.and_then(|mut value| value.next()).map(|inner| inner.inside());
        match (id, inner) {
            (Some(id), Some(mut inner)) if id == BASIC_CONSTRAINTS => {
                let authority = inner.take_if(BOOLEAN);
                self.is_authority = authority.is_some_and(|flag| flag.content == [0xff]);
            }
            (Some(id), Some(inner)) if id == SUBJECT_ALT_NAME => {
                for name in inner {
                    match name.tag {
                        DNS_NAME => self.dns_names.extend(str::from_utf8(name.content)),
                        IP_ADDRESS => self.addresses.extend(address(name.content)),
                        _ => {}
                    }
                }
            }
            (Some(id), Some(mut inner)) if id == EXTENDED_KEY_USAGE => {
                let fits = |usage: Element<'_>| [&SERVER[..], &ANY_USE].contains(&usage.content);
                self.may_serve &= inner.any(fits);
            }
            (Some(id), _) if id == NAME_CONSTRAINTS => self.has_constraints = true,
            (Some(id), _) if id == KEY_USAGE => {}
            _ => self.may_serve &= !is_critical,
        }
    }

    /// Whether it is its own issuer, by its name.
    pub fn names_itself(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether the owner of `key` has signed it. None: with an algorithm that
    /// is not among `algorithms`.
    pub fn is_signed_by(
        &self,
        key: &[u8],
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Option<bool> {
        let spki = SubjectPublicKeyInfoDer::from(key);
        let key = webpki::RawPublicKeyEntity::try_from(&spki).ok()?;
        let known = algorithms.iter().filter(|one| *one.signature_alg_id() == *self.algorithm);
        let mut verdicts =
            known.map(|one| key.verify_signature(*one, self.signed, self.signature).is_ok());
        let first = verdicts.next()?;
        Some(first || verdicts.any(|verdict| verdict))
    }

    /// Its common name.
    pub fn common_name(&self) -> Option<&'a str> {
        attributes(self.subject).filter(|(name, _)| *name == "CN").map(|(_, value)| value).last()
    }

    /// Whether it is for the host `name`: by its alternative names, and where
    /// it has none, by its common name, as PHP does it.
    pub fn is_for(&self, name: &str) -> bool {
        if let Ok(address) = name.parse::<IpAddr>()
            && self.addresses.contains(&address)
        {
            return true;
        }
        let mut names = self.dns_names.iter().copied();
        let has_names = !self.dns_names.is_empty() || !self.addresses.is_empty();
        let common_name = self.common_name().filter(|_| !has_names);
        names.any(|pattern| matches(pattern, name))
            || common_name.is_some_and(|pattern| matches(pattern, name))
    }

    /// The names it is for, for a message.
    pub fn names(&self) -> Vec<String> {
        let names = self.dns_names.iter().map(|name| shown(name));
        let names: Vec<String> =
            names.chain(self.addresses.iter().map(ToString::to_string)).collect();
        match names.is_empty() {
            true => self.common_name().map(shown).into_iter().collect(),
            false => names,
        }
    }

    /// How many bits its RSA key has; none for another kind.
    pub fn rsa_bits(&self) -> Option<usize> {
        let mut parts = Der(self.key).take_if(SEQUENCE)?.inside();
        let kind = parts.take_if(SEQUENCE)?.inside().take_if(OBJECT_ID)?;
        if kind.content != RSA {
            return None;
        }
        let key = parts.take_if(BIT_STRING)?.content.strip_prefix(&[0])?;
        let modulus = Der(key).take_if(SEQUENCE)?.inside().next()?.content;
        let start = modulus.iter().position(|byte| *byte != 0)?;
        Some((modulus.len() - start) * 8)
    }
}

/// A distinguished name in one line, as in `CN=redis, O=Example`.
pub fn line(name: &[u8]) -> String {
    let parts = attributes(name).map(|(name, value)| format!("{name}={}", shown(value)));
    match parts.collect::<Vec<_>>().join(", ") {
        line if line.is_empty() => "without a name".to_owned(),
        line => line,
    }
}

/// Text of a stranger, fit for one line of a log.
fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().take(100).map(plain).collect()
}

/// The attributes of a distinguished name that are text.
fn attributes(name: &[u8]) -> impl Iterator<Item = (&'static str, &str)> {
    Der(name).flat_map(|set| set.inside()).filter_map(|pair| {
        let mut pair = pair.inside();
        let name = match pair.next()?.content {
            [0x55, 4, 3] => "CN",
            [0x55, 4, 10] => "O",
            [0x55, 4, 11] => "OU",
            [0x55, 4, 6] => "C",
            [0x55, 4, 7] => "L",
            [0x55, 4, 8] => "ST",
            _ => return None,
        };
        Some((name, str::from_utf8(pair.next()?.content).ok()?))
    })
}

/// Whether `name` is `pattern`, in which `*.` matches one label.
fn matches(pattern: &str, name: &str) -> bool {
    if pattern.eq_ignore_ascii_case(name) {
        return !pattern.is_empty();
    }
    let (Some(parent), Some((label, rest))) = (pattern.strip_prefix("*."), name.split_once('.'))
    else {
        return false;
    };
    let is_address = name.parse::<IpAddr>().is_ok();
    !is_address && !label.is_empty() && parent.contains('.') && parent.eq_ignore_ascii_case(rest)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => None,
    }
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, in seconds since 1970.
fn time(element: Element<'_>) -> Option<i64> {
    let text = str::from_utf8(element.content).ok()?.strip_suffix('Z')?;
    let (year, rest) = match element.tag {
        UTC_TIME => {
            let year: i64 = text.get(..2)?.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        GENERALIZED_TIME => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day) = (part(0)?, part(2)?);
    if !(1..=12).contains(&month) {
        return None;
    }
    Some(days(year, month, day) * 86400 + part(4)? * 3600 + part(6)? * 60 + part(8)?)
}

/// Days from 1970-01-01 to a date; years begin in March, so that leap days
/// come last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// `2026-11-25 10:00 UTC`
pub fn date(seconds: i64) -> String {
    let days = seconds.div_euclid(86400) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let minutes = seconds.rem_euclid(86400) / 60;
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_and_shown() {
        for (tag, text, seconds, shown) in [
            (UTC_TIME, "700101000000Z", 0, "1970-01-01 00:00 UTC"),
            (UTC_TIME, "491231235959Z", 2_524_607_999, "2049-12-31 23:59 UTC"),
            (UTC_TIME, "500101000000Z", -631_152_000, "1950-01-01 00:00 UTC"),
            (GENERALIZED_TIME, "20240229120000Z", 1_709_208_000, "2024-02-29 12:00 UTC"),
            (GENERALIZED_TIME, "21000301000000Z", 4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            let element = Element { tag, content: text.as_bytes(), whole: &[] };
            assert_eq!(time(element), Some(seconds), "{text}");
            assert_eq!(date(seconds), shown);
        }
        for text in ["", "Z", "701301000000Z", "70010100000", "\u{e9}\u{e9}\u{e9}\u{e9}00000Z"] {
            let element = Element { tag: UTC_TIME, content: text.as_bytes(), whole: &[] };
            assert_eq!(time(element), None, "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_one_label() {
        for (pattern, name, verdict) in [
            ("redis", "redis", true),
            ("Redis.Example.com", "redis.example.COM", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.com", "a.com", false),
            ("*", "a", false),
            ("*.0.0.1", "127.0.0.1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("", "", false),
        ] {
            assert_eq!(matches(pattern, name), verdict, "{pattern} {name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, at: usize, byte: u8) {
            let _ = Certificate::read(&bytes);
            let mut certificate = include_bytes!("test_v1.der").to_vec();
            let at = at % certificate.len();
            certificate[at] = byte;
            if let Some(read) = Certificate::read(&certificate) {
                let _ = (line(read.subject), read.names(), read.is_for("a.b"), read.rsa_bits());
            }
        }
    }

    #[test]
    fn a_certificate_of_version_1_is_read() {
        let read = Certificate::read(include_bytes!("test_v1.der")).unwrap();
        assert_eq!((read.version, line(read.subject)), (1, "CN=v1.example, O=Test".to_owned()));
        assert_eq!(read.names(), ["v1.example"]);
        assert!(read.is_for("v1.example") && !read.is_for("v2.example"));
        assert!(read.names_itself() && !read.is_authority);
        assert_eq!(read.rsa_bits(), None);
    }
}
