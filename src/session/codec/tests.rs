//! What is written is read, here and by phpredis; no input does harm.

use proptest::prelude::*;

use super::*;
use crate::session::stored_form::tests::{bytes, cart, vectors};

const ALL: [Codec; 3] = [Codec::Zstd, Codec::Lz4, Codec::Lzf];
const MOST: usize = 64 << 20;

fn with(codec: Codec, level: i64) -> Compression {
    Compression { codec, level, threshold: 0 }
}

/// What a reader makes of what is stored.
fn read(stored: &[u8]) -> Vec<u8> {
    match form(stored, None) {
        Form::Plain => stored.to_vec(),
        Form::Compressed(codec) => decompress(stored, codec, MOST).unwrap(),
        Form::Damaged(codec) => panic!("{codec}"),
    }
}

#[test]
fn what_phpredis_has_compressed_is_read() {
    for vector in vectors() {
        assert_eq!(read(&vector.stored), vector.session, "{}", vector.name);
    }
}

#[test]
fn sessions_get_smaller_and_are_read_again() {
    let cart = cart();
    for codec in ALL {
        for level in [-1, 0, 1, 3, 12, 22, 99, i64::MAX] {
            let stored = encode(&cart, Some(&with(codec, level)));
            assert_eq!(form(&stored, None), Form::Compressed(codec));
            assert!(stored.len() * 3 < cart.len(), "{codec} {level}: {}", stored.len());
            assert_eq!(read(&stored), cart, "{codec} {level}");
        }
    }
}

#[test]
fn what_is_small_or_does_not_shrink_is_stored_as_it_is() {
    for codec in ALL {
        assert_eq!(encode(b"", Some(&with(codec, 3))), b"".as_slice());
        assert_eq!(encode(b"a|i:1;", Some(&with(codec, 3))), b"a|i:1;".as_slice());
        let threshold = Compression { threshold: cart().len() + 1, ..with(codec, 3) };
        assert!(matches!(encode(&cart(), Some(&threshold)), Cow::Borrowed(_)));
        let threshold = Compression { threshold: cart().len(), ..threshold };
        assert!(matches!(encode(&cart(), Some(&threshold)), Cow::Owned(_)));
    }
    assert!(matches!(encode(&cart(), None), Cow::Borrowed(_)), "nothing is copied");
}

#[test]
fn what_an_application_has_compressed_itself_is_read_as_it_was_written() {
    for own in ALL {
        let compressed = encode(&cart(), Some(&with(own, 3))).into_owned();
        let damaged = b"\x28\xb5\x2f\xfd\x20".to_vec();
        for data in [compressed, damaged] {
            for wanted in [None, Some(with(Codec::Lzf, 3))] {
                assert_eq!(read(&encode(&data, wanted.as_ref())), data, "{own} {wanted:?}");
            }
        }
    }
}

#[test]
fn more_than_php_has_room_for_is_refused_before_it_takes_memory() {
    let large = vec![b'a'; 1 << 20];
    for codec in ALL {
        let stored = encode(&large, Some(&with(codec, 3)));
        let refusal = decompress(&stored, codec, large.len() - 1);
        let (size, most) = (large.len(), large.len() - 1);
        assert_eq!(refusal, Err(DecompressError::TooLarge { size, most }), "{codec}");
        assert_eq!(decompress(&stored, codec, large.len()).as_deref(), Ok(&large[..]));
    }
    // Ten bytes that say they are 100 MB.
    let lying = bytes("28b52ffda000e1f50509000061");
    assert_eq!(decompress(&lying, Codec::Zstd, usize::MAX), Err(DecompressError::Damaged));
}

#[test]
fn a_frame_of_unknown_size_is_refused() {
    let frame = bytes("28b52ffd0058090000 61".replace(' ', "").as_str());
    assert_eq!(decompress(&frame, Codec::Zstd, MOST), Err(DecompressError::Damaged));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn any_data_are_read_as_they_were_written(
        parts in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..40), 0..400_usize), 0..30),
        level in 0..10_i64,
    ) {
        let data: Vec<u8> = parts.iter().flat_map(|(part, times)| part.repeat(times % 30)).collect();
        for codec in ALL {
            prop_assert_eq!(&read(&encode(&data, Some(&with(codec, level)))), &data);
        }
        prop_assert_eq!(&read(&encode(&data, None)), &data);
    }

    #[test]
    fn any_bytes_are_decompressed_or_refused(stored in proptest::collection::vec(any::<u8>(), 0..300)) {
        for codec in ALL {
            if let Ok(data) = decompress(&stored, codec, 1 << 16) {
                prop_assert!(data.len() <= 1 << 16);
            }
        }
    }
}
