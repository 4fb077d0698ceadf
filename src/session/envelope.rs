//! What an encrypted session is in Redis.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | FF F5 C0 C1: no serializer and no codec begins so, nor is any of them UTF-8 |
//! | 1 | version of this form: 1 |
//! | 1 | algorithm: 1 is AES-256-GCM |
//! | 1 | length of the key's id |
//! | so many | the key's id |
//! | 32 | salt |
//! | the rest | the encrypted session, one byte 80 and zeros; then the tag of 16 bytes |
//!
//! Each value has a key of its own, derived from the file's key and a random salt
//! with HKDF-SHA-256, so that no nonce is ever used twice. The tag is over the
//! header and the session's key in Redis too: one session's value is no other's.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;

use crate::config::encryption::{Encryption, Key, Keyring};
use crate::session::stored_form::ENCRYPTED_MAGIC as MAGIC;

const VERSION: u8 = 1;
/// AES-256-GCM.
const ALGORITHM: u8 = 1;
const SALT_SIZE: usize = 32;
const TAG_SIZE: usize = 16;
/// How much of a key's id is shown: what is stored may be anybody's.
const SHOWN_ID: usize = 64;
/// What ends the session in what is encrypted; zeros follow.
const END: u8 = 0x80;
/// What derived keys are for.
const PURPOSE: &[u8] = b"redis-session value 1";

/// Why an envelope cannot be opened. Words for the operator, without any data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It ends too early, or begins as none does.
    #[error("is damaged: its stored bytes were cut or changed; the stored data are kept")]
    Damaged,
    /// It was written by a later version.
    #[error(
        "is encrypted in a form that this version does not know: install a newer one; the stored data are kept"
    )]
    Unknown,
    /// The file has no such key.
    #[error(
        "is encrypted with the key {0}, which redis_session.encryption_keys does not have; the stored data are kept"
    )]
    NoKey(String),
    /// Its tag is wrong.
    #[error(
        "cannot be decrypted: its stored bytes were changed, belong to another session, or were \
         encrypted with another key of the same id ({0}); the stored data are kept"
    )]
    Forged(String),
}

/// A session that was encrypted.
pub struct Opened {
    /// What was encrypted.
    pub content: Vec<u8>,
    /// Whether its key is not the one that encrypts now.
    pub is_outdated: bool,
}

struct Parts<'a> {
    header: &'a [u8],
    id: &'a [u8],
    salt: &'a [u8],
    sealed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(envelope: &'a [u8]) -> Result<Self, OpenError> {
        let start = envelope.strip_prefix(&MAGIC).ok_or(OpenError::Damaged)?;
        let (&[version, algorithm, id_size], rest) =
            start.split_first_chunk::<3>().ok_or(OpenError::Damaged)?;
        if (version, algorithm) != (VERSION, ALGORITHM) {
            return Err(OpenError::Unknown);
        }
        let (id, rest) = rest.split_at_checked(id_size.into()).ok_or(OpenError::Damaged)?;
        let (salt, sealed) = rest.split_at_checked(SALT_SIZE).ok_or(OpenError::Damaged)?;
        if sealed.len() <= TAG_SIZE {
            return Err(OpenError::Damaged);
        }
        let header = envelope.get(..envelope.len() - sealed.len()).unwrap_or_default();
        Ok(Self { header, id, salt, sealed })
    }

    fn shown_id(&self) -> String {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let shown = |byte: &u8| if is_word(*byte) { char::from(*byte) } else { '?' };
        self.id.iter().take(SHOWN_ID).map(shown).collect()
    }
}

/// `content` in an envelope for the session that has `redis_key`.
///
/// # Errors
/// The system gives no random numbers.
pub fn seal(
    content: &[u8],
    redis_key: &[u8],
    encryption: &Encryption,
) -> Result<Vec<u8>, getrandom::Error> {
    let key = encryption.keyring.current();
    let mut salt = [0; SALT_SIZE];
    getrandom::fill(&mut salt)?;
    let padded = (content.len() + 1).next_multiple_of(encryption.padding.max(1));
    let header_size = MAGIC.len() + 3 + key.id.len() + SALT_SIZE;
    let mut sealed = Vec::with_capacity(header_size + padded + TAG_SIZE);
    sealed.extend_from_slice(&MAGIC);
    sealed.extend_from_slice(&[VERSION, ALGORITHM, key.id.len() as u8]);
    sealed.extend_from_slice(key.id.as_bytes());
    sealed.extend_from_slice(&salt);
    let associated = [&sealed, redis_key].concat();
    sealed.extend_from_slice(content);
    sealed.push(END);
    sealed.resize(header_size + padded, 0);
    let tag = {
        let (_, in_place) = sealed.split_at_mut(header_size);
        derive(key, &salt).and_then(|key| {
            key.seal_in_place_separate_tag(no_nonce(), Aad::from(&associated), in_place)
        })
    };
    match tag {
        Ok(tag) => sealed.extend_from_slice(tag.as_ref()),
        // More than 64 GB, which no session is: nothing that is not encrypted leaves.
        Err(ring::error::Unspecified) => return Err(getrandom::Error::UNEXPECTED),
    }
    Ok(sealed)
}

/// The content of `envelope`, which is stored under `redis_key`.
///
/// # Errors
/// [`OpenError`]
pub fn open(envelope: &[u8], redis_key: &[u8], keyring: &Keyring) -> Result<Opened, OpenError> {
    let parts = Parts::of(envelope)?;
    let key = keyring.find(parts.id).ok_or_else(|| OpenError::NoKey(parts.shown_id()))?;
    let forged = || OpenError::Forged(parts.shown_id());
    let associated = [parts.header, redis_key].concat();
    let mut content = parts.sealed.to_vec();
    let opened = derive(key, parts.salt)
        .and_then(|key| key.open_in_place(no_nonce(), Aad::from(&associated), &mut content))
        .map_err(|ring::error::Unspecified| forged())?;
    let end = opened.iter().rposition(|byte| *byte != 0).ok_or_else(forged)?;
    if opened.get(end) != Some(&END) {
        return Err(forged());
    }
    content.truncate(end);
    Ok(Opened { content, is_outdated: key.id != keyring.current().id })
}

/// The key of one value.
fn derive(key: &Key, salt: &[u8]) -> Result<LessSafeKey, ring::error::Unspecified> {
    let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&*key.secret);
    let derived = secret.expand(&[PURPOSE], &AES_256_GCM)?;
    Ok(LessSafeKey::new(UnboundKey::from(derived)))
}

/// A key is used once.
fn no_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests;
