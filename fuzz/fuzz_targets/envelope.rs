//! Any bytes as an encrypted session: refused, whatever they are; and as a session to
//! encrypt, which is decrypted as it was, and not once a bit of it has changed.
#![no_main]

mod limited;

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use limited::Limited;
use redis_session::config::encryption::{Encryption, Keyring, Plain};
use redis_session::session::envelope::{open, seal};
use redis_session::session::stored_form::is_encrypted;

/// Most bytes in use at a time.
const LIMIT: usize = 64 << 20;

#[global_allocator]
static ALLOCATOR: Limited<LIMIT> = Limited::new();

/// Two keys, of zeros and of ones in their first bits.
static KEYRING: LazyLock<Arc<Keyring>> = LazyLock::new(|| {
    let text = format!("new:{}=\nold:{}=\n", "A".repeat(43), "g".to_owned() + &"A".repeat(42));
    Arc::new(Keyring::parse(&text).unwrap())
});

fuzz_target!(|data: &[u8]| {
    let _ = Keyring::parse(&String::from_utf8_lossy(data));
    assert!(open(data, b"session", &KEYRING).is_err());
    let Some((&[choice, place], data)) = data.split_first_chunk::<2>() else { return };
    let padding = usize::from(choice);
    let encryption = Encryption { plain: Plain::Refused, padding, keyring: KEYRING.clone() };
    let mut sealed = seal(data, b"session", &encryption).unwrap();
    assert!(is_encrypted(&sealed));
    assert!(open(&sealed, b"session", &KEYRING).is_ok_and(|opened| opened.content == data));
    assert!(open(&sealed, b"another", &KEYRING).is_err());
    let at = usize::from(place) * 37 % sealed.len();
    sealed[at] ^= 1 << (choice % 8);
    assert!(is_encrypted(&sealed));
    assert!(open(&sealed, b"session", &KEYRING).is_err());
});
