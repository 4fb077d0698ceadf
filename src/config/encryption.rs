//! Whether sessions are encrypted when they are stored, and with which keys.
//!
//! Keys come from a file of lines `id:base64 of 32 bytes`. The first encrypts, all
//! decrypt. Keys are never shown, and zeroed when they are dropped.

use std::fmt;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

/// Bytes of a key.
pub const KEY_SIZE: usize = 32;
/// Longest id of a key, in bytes: its length is one byte of what is stored.
const MAX_ID: usize = 255;

/// What becomes of a session that is not encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    /// It is read, and encrypted when it is next written:
    /// `redis_session.encryption = accept_plain`.
    Accepted,
    /// Its read fails: `redis_session.encryption = required`.
    Refused,
}

/// How sessions are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// What becomes of those that are not.
    pub plain: Plain,
    /// `redis_session.encryption_padding`, in bytes: what is encrypted is made as
    /// long as a multiple of it. Defaults to 0, which pads nothing.
    pub padding: usize,
    /// With what.
    pub keyring: Arc<Keyring>,
}

/// What `redis_session.encryption` means; none where sessions are not encrypted.
///
/// # Errors
/// It is none of its three values. Sessions must not be stored plain then.
pub fn parse_mode(mode: &str) -> Result<Option<Plain>, String> {
    match mode {
        "" | "off" | "0" => Ok(None),
        "accept_plain" => Ok(Some(Plain::Accepted)),
        "required" => Ok(Some(Plain::Refused)),
        _ => Err(format!(
            "redis_session.encryption = {mode} is unknown: set it to off, accept_plain or required"
        )),
    }
}

/// One key.
pub struct Key {
    /// What it is called in the file, and in what is stored.
    pub id: String,
    /// The key itself.
    pub secret: Zeroizing<[u8; KEY_SIZE]>,
}

/// The keys of a file.
#[derive(PartialEq, Eq)]
pub struct Keyring {
    current: Key,
    others: Vec<Key>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.secret == other.secret
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entry(&self.current).entries(&self.others).finish()
    }
}

/// What is wrong with a file of keys. None of it shows a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// There is not one line that encrypts.
    #[error("it contains no key: write a line of an id, a colon, and 32 random bytes in base64")]
    Empty,
    /// A line without a colon, or with nothing before it.
    #[error("line {0} has no id: write an id, a colon, and 32 random bytes in base64")]
    NoId(usize),
    /// An id that cannot be stored or shown.
    #[error(
        "the id on line {0} is longer than 255 bytes or is not made of letters, digits, -, _ and ."
    )]
    Id(usize),
    /// No base64.
    #[error("the key {id} on line {line} is not valid base64")]
    NotBase64 {
        /// Where.
        line: usize,
        /// Which.
        id: String,
    },
    /// Too short or too long.
    #[error("the key {id} on line {line} has {size} bytes, not 32")]
    Size {
        /// Where.
        line: usize,
        /// Which.
        id: String,
        /// How long it is.
        size: usize,
    },
    /// Two of a name.
    #[error("the id {id} on line {line} is that of another line")]
    Repeated {
        /// Where.
        line: usize,
        /// Which.
        id: String,
    },
}

impl Keyring {
    /// The keys in the text of a file. Empty lines say nothing, nor do those that
    /// begin with `#`.
    ///
    /// # Errors
    /// [`KeyFileError`]
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        let mut keys: Vec<Key> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let key = parse_line(line, text)?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(KeyFileError::Repeated { line, id: key.id });
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let current = keys.next().ok_or(KeyFileError::Empty)?;
        Ok(Self { current, others: keys.collect() })
    }

    /// The key that encrypts: the first.
    pub fn current(&self) -> &Key {
        &self.current
    }

    /// The key that is called `id`.
    pub fn find(&self, id: &[u8]) -> Option<&Key> {
        let mut all = std::iter::once(&self.current).chain(&self.others);
        all.find(|key| key.id.as_bytes() == id)
    }
}

fn parse_line(line: usize, text: &str) -> Result<Key, KeyFileError> {
    let (id, encoded) = text.split_once(':').ok_or(KeyFileError::NoId(line))?;
    let id = id.trim();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if id.is_empty() {
        return Err(KeyFileError::NoId(line));
    } else if id.len() > MAX_ID || !id.bytes().all(is_word) {
        return Err(KeyFileError::Id(line));
    }
    let id = id.to_owned();
    let Ok(bytes) = Base64::decode_vec(encoded.trim()).map(Zeroizing::new) else {
        return Err(KeyFileError::NotBase64 { line, id });
    };
    let mut secret = Zeroizing::new([0; KEY_SIZE]);
    if bytes.len() != secret.len() {
        return Err(KeyFileError::Size { line, id, size: bytes.len() });
    }
    secret.copy_from_slice(&bytes);
    Ok(Key { id, secret })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, byte: u8) -> String {
        format!("{id}:{}\n", Base64::encode_string(&[byte; KEY_SIZE]))
    }

    #[test]
    fn the_first_key_encrypts_and_all_decrypt() {
        let text = ["# comment\n\n", &line("b", 1), &line("a", 2)].concat();
        let keyring = Keyring::parse(&text).unwrap();
        assert_eq!(keyring.current().id, "b");
        assert_eq!(*keyring.find(b"a").unwrap().secret, [2; KEY_SIZE]);
        assert!(keyring.find(b"c").is_none());
    }

    #[test]
    fn what_is_wrong_is_told_by_line_and_id_and_without_a_key() {
        let short = format!("k:{}", Base64::encode_string(&[7; 31]));
        for (text, refusal) in [
            (String::new(), "it contains no key"),
            ("# k:secret".to_owned(), "it contains no key"),
            ("secret".to_owned(), "line 1 has no id"),
            (":secret".to_owned(), "line 1 has no id"),
            ("\nk k:secret".to_owned(), "the id on line 2"),
            ("k:s$cret".to_owned(), "the key k on line 1 is not valid base64"),
            (short, "the key k on line 1 has 31 bytes, not 32"),
            (line("k", 1) + &line("k", 2), "the id k on line 2 is that of another line"),
        ] {
            let told = Keyring::parse(&text).unwrap_err().to_string();
            assert!(told.starts_with(refusal) && !told.contains("cret"), "{told}");
        }
    }

    #[test]
    fn keys_are_not_shown() {
        let keyring = Keyring::parse(&line("k", b'S')).unwrap();
        let shown = format!("{keyring:?}");
        assert!(shown.contains('k') && !shown.contains("83"), "{shown}");
    }
}
