//! Private keys of PEM files, also those that a passphrase protects.
//!
//! Two forms are protected: PKCS#8 with PBES2 (`ENCRYPTED PRIVATE KEY`), which
//! OpenSSL has written since 1.0; and the traditional one (`Proc-Type:
//! 4,ENCRYPTED`), which `openssl genrsa -aes256` wrote before 3.0.

use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyIvInit};
use md5::{Digest, Md5};
use pem::Pem;
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};

use super::der::Der;

const NO_PASSPHRASE: &str = "it is protected by a passphrase: set stream[passphrase]";
const WRONG_PASSPHRASE: &str = "stream[passphrase] is not its passphrase, or the file is damaged";

/// The first private key in the text of a PEM file. A key that is not protected
/// needs no `passphrase`, and one that is given says nothing then, as in PHP.
///
/// # Errors
/// Words for the operator. They do not show the passphrase.
pub(super) fn read(
    text: &[u8],
    passphrase: Option<&str>,
) -> Result<PrivateKeyDer<'static>, String> {
    let parts = pem::parse_many(text).map_err(|e| format!("it is no complete PEM file ({e})"))?;
    let key = parts.iter().find(|part| part.tag().ends_with("PRIVATE KEY"));
    let key = key.ok_or_else(|| "it contains no private key".to_owned())?;
    if key.tag() == "ENCRYPTED PRIVATE KEY" {
        let passphrase = passphrase.ok_or(NO_PASSPHRASE)?;
        return decrypt_pkcs8(key.contents(), passphrase).map(PrivateKeyDer::Pkcs8);
    }
    let der = match key.headers().get("DEK-Info") {
        None => key.contents().to_vec(),
        Some(info) => decrypt_traditional(key, info, passphrase.ok_or(NO_PASSPHRASE)?)?,
    };
    match key.tag() {
        "PRIVATE KEY" => Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der))),
        "RSA PRIVATE KEY" => Ok(PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der))),
        "EC PRIVATE KEY" => Ok(PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der))),
        other => Err(format!("a key of the kind {other} is not supported")),
    }
}

fn decrypt_pkcs8(der: &[u8], passphrase: &str) -> Result<PrivatePkcs8KeyDer<'static>, String> {
    let key = EncryptedPrivateKeyInfoRef::try_from(der)
        .map_err(|e| format!("how it is protected is not supported ({e})"))?;
    let clear = key.decrypt(passphrase).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { oid }) => {
            format!("how it is protected is not supported ({oid}): protect it with PBES2")
        }
        _ => WRONG_PASSPHRASE.to_owned(),
    })?;
    Ok(PrivatePkcs8KeyDer::from(clear.as_bytes().to_vec()))
}

/// `info` is the name of a cipher, a comma, and the initial value in hexadecimal
/// digits.
fn decrypt_traditional(key: &Pem, info: &str, passphrase: &str) -> Result<Vec<u8>, String> {
    let (cipher, initial) = info.split_once(',').ok_or(WRONG_PASSPHRASE)?;
    let initial = hexadecimal(initial.trim()).ok_or(WRONG_PASSPHRASE)?;
    let (data, passphrase) = (key.contents(), passphrase.as_bytes());
    match cipher.trim() {
        "AES-128-CBC" => decrypt::<aes::Aes128>(data, passphrase, &initial, 16),
        "AES-192-CBC" => decrypt::<aes::Aes192>(data, passphrase, &initial, 24),
        "AES-256-CBC" => decrypt::<aes::Aes256>(data, passphrase, &initial, 32),
        "DES-EDE3-CBC" => decrypt::<des::TdesEde3>(data, passphrase, &initial, 24),
        other => {
            return Err(format!(
                "it is protected with {other}, which is not supported: protect it with AES-256-CBC"
            ));
        }
    }
    .filter(|der| is_sequence(der))
    .ok_or_else(|| WRONG_PASSPHRASE.to_owned())
}

/// Whether `der` is what all forms of keys are. One in 256 wrong passphrases gives
/// bytes that end as a key's do, and that are nothing.
fn is_sequence(der: &[u8]) -> bool {
    Der(der).take_if(0x30).is_some_and(|key| key.whole.len() == der.len())
}

/// None where the result cannot be a key's encoding, or `initial` has another
/// length than the cipher's.
fn decrypt<C>(data: &[u8], passphrase: &[u8], initial: &[u8], key_size: usize) -> Option<Vec<u8>>
where
    C: BlockCipherDecrypt,
    cbc::Decryptor<C>: KeyIvInit,
{
    let key = derive(passphrase, initial.get(..8)?, key_size);
    let cipher = cbc::Decryptor::<C>::new_from_slices(&key, initial).ok()?;
    cipher.decrypt_padded_vec::<Pkcs7>(data).ok()
}

/// OpenSSL's `EVP_BytesToKey` with MD5, one round: what the form prescribes.
fn derive(passphrase: &[u8], salt: &[u8], size: usize) -> Vec<u8> {
    let mut key = Vec::with_capacity(size + 16);
    let mut before = Vec::new();
    while key.len() < size {
        before = Md5::new()
            .chain_update(&before)
            .chain_update(passphrase)
            .chain_update(salt)
            .finalize()
            .to_vec();
        key.extend_from_slice(&before);
    }
    key.truncate(size);
    key
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<_>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let pairs = digits?;
    let pairs = pairs.chunks_exact(2).map(|pair| match pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wrong_passphrase_gives_a_key() {
        let body = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v";
        for cipher in ["AES-256-CBC", "AES-192-CBC", "AES-128-CBC"] {
            let text = format!(
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: {cipher},{:032X}\n\n\
                 {body}\n-----END RSA PRIVATE KEY-----\n",
                7
            );
            for passphrase in 0..3000 {
                let outcome = read(text.as_bytes(), Some(&passphrase.to_string()));
                assert_eq!(outcome.err().as_deref(), Some(WRONG_PASSPHRASE), "{passphrase}");
            }
        }
    }
}
