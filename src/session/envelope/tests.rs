//! Envelopes: what opens, and what never does.

use std::sync::Arc;

use base64ct::{Base64, Encoding};
use proptest::prelude::*;

use super::*;
use crate::config::encryption::Plain;
use crate::session::stored_form::is_encrypted;

const KEY: &[u8] = b"PHPREDIS_SESSION:abc";

fn encryption(keys: &[(&str, u8)], padding: usize) -> Encryption {
    let line = |(id, byte): &(&str, u8)| format!("{id}:{}\n", Base64::encode_string(&[*byte; 32]));
    let text: String = keys.iter().map(line).collect();
    let keyring = Arc::new(Keyring::parse(&text).unwrap());
    Encryption { plain: Plain::Refused, padding, keyring }
}

fn content(envelope: &[u8], encryption: &Encryption) -> Result<Vec<u8>, OpenError> {
    open(envelope, KEY, &encryption.keyring).map(|opened| opened.content)
}

#[test]
fn a_value_of_another_session_does_not_open() {
    let encryption = encryption(&[("k", 1)], 0);
    let sealed = seal(b"secret", KEY, &encryption).unwrap();
    let outcome = open(&sealed, b"PHPREDIS_SESSION:abd", &encryption.keyring);
    assert_eq!(outcome.err(), Some(OpenError::Forged("k".to_owned())));
}

#[test]
fn what_is_cut_or_changed_anywhere_does_not_open() {
    let encryption = encryption(&[("k", 1), ("l", 1)], 0);
    let sealed = seal(b"secret", KEY, &encryption).unwrap();
    for size in 1..sealed.len() {
        assert!(is_encrypted(&sealed[..size]), "{size}");
        assert!(content(&sealed[..size], &encryption).is_err(), "{size}");
    }
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(is_encrypted(&changed), "{bit}");
        assert!(content(&changed, &encryption).is_err(), "{bit}");
    }
}

#[test]
fn an_old_key_opens_and_is_known_to_be_old() {
    let old = encryption(&[("old", 1)], 0);
    let both = encryption(&[("new", 2), ("old", 1)], 0);
    let sealed = seal(b"x", KEY, &old).unwrap();
    assert!(!open(&sealed, KEY, &old.keyring).unwrap().is_outdated);
    assert!(open(&sealed, KEY, &both.keyring).unwrap().is_outdated);
    let sealed = seal(b"x", KEY, &both).unwrap();
    assert_eq!(content(&sealed, &old), Err(OpenError::NoKey("new".to_owned())));
}

#[test]
fn padding_hides_the_length() {
    let encryption = encryption(&[("k", 1)], 256);
    let size = |content: &[u8]| seal(content, KEY, &encryption).unwrap().len();
    assert_eq!(size(b""), size(&[b'a'; 255]));
    assert_eq!(size(&[b'a'; 256]), size(b"") + 256);
}

#[test]
fn no_two_envelopes_are_alike() {
    let encryption = encryption(&[("k", 1)], 0);
    let [one, other] = [(); 2].map(|()| seal(b"x", KEY, &encryption).unwrap());
    assert_ne!(one, other);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sealed_opens(data: Vec<u8>, padding in 0_usize..300) {
        let encryption = encryption(&[("k", 1)], padding);
        let sealed = seal(&data, KEY, &encryption).unwrap();
        prop_assert!(is_encrypted(&sealed));
        prop_assert_eq!(content(&sealed, &encryption), Ok(data));
    }

    #[test]
    fn what_was_never_sealed_does_not_open(rest: Vec<u8>) {
        let encryption = encryption(&[("k", 1)], 0);
        let forged = [&MAGIC[..], &rest].concat();
        prop_assert!(content(&forged, &encryption).is_err());
    }
}
