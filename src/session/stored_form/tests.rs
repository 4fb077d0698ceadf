//! What phpredis stores is told from what PHP's serializers give.

use super::*;
use proptest::prelude::*;

/// What phpredis 6 stores for some inputs, by codec and level.
const VECTORS: &str = include_str!("../../../tests/compression-vectors.tsv");

pub(in crate::session) fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// A session, and what phpredis 6 stores for it.
pub(in crate::session) struct Vector {
    pub name: String,
    pub session: Vec<u8>,
    pub stored: Vec<u8>,
    pub form: Form,
}

/// A session of 400 entries, which gets much smaller.
pub(in crate::session) fn cart() -> Vec<u8> {
    let item =
        |i| format!("item_{i}|a:2:{{s:2:\"id\";i:{i};s:4:\"name\";s:8:\"thing_{}\";}}", i % 7);
    (0..400).map(item).collect::<String>().into_bytes()
}

pub(in crate::session) fn vectors() -> impl Iterator<Item = Vector> {
    VECTORS.lines().skip(1).map(|line| {
        let columns: Vec<_> = line.split('\t').collect();
        let session = if columns[0] == "cart" { cart() } else { bytes(columns[5]) };
        assert_eq!(session.len().to_string(), columns[3]);
        let stored = bytes(columns[6]);
        let form = match columns[1] {
            _ if session == stored => Form::Plain, // stored as it was
            "zstd" => Form::Compressed(Codec::Zstd),
            "lz4" => Form::Compressed(Codec::Lz4),
            "lzf" => Form::Compressed(Codec::Lzf),
            other => panic!("{other}"),
        };
        Vector { name: columns[..3].join(" "), session, stored, form }
    })
}

#[test]
fn what_phpredis_has_compressed_is_recognised_by_its_codec() {
    let mut found = [0; 3];
    for vector in vectors() {
        assert_eq!(form(&vector.stored, None), vector.form, "{}", vector.name);
        if let Form::Compressed(codec) = vector.form {
            found[codec as usize] += 1;
        }
    }
    assert!(found.iter().all(|count| *count >= 7), "{found:?}");
}

#[test]
fn what_ends_too_early_or_goes_on_is_not_taken_for_compressed() {
    for Vector { name, stored, form: whole, .. } in vectors() {
        let otherwise = match whole {
            Form::Compressed(Codec::Zstd) => Form::Damaged(Codec::Zstd),
            Form::Compressed(Codec::Lz4) => Form::Plain,
            // An LZF stream has no end of its own: it may end wherever a part does.
            _ => continue,
        };
        for end in 5..stored.len() {
            assert_eq!(form(&stored[..end], None), otherwise, "{name} {end}");
        }
        assert_eq!(form(&[&stored[..], b"\xff"].concat(), None), otherwise, "{name}");
    }
}

#[test]
fn what_is_damaged_is_told_where_its_codec_is_expected() {
    for Vector { name, stored, form: whole, .. } in vectors() {
        let Form::Compressed(codec @ (Codec::Lz4 | Codec::Lzf)) = whole else { continue };
        // LZF has no end of its own: a copy without its distance has.
        let Some(cut) =
            (6..stored.len()).rev().find(|end| form(&stored[..*end], None) == Form::Plain)
        else {
            continue;
        };
        let cut = &stored[..cut];
        assert_eq!(form(cut, Some(codec)), Form::Damaged(codec), "{name}");
        let others = [None, Some(Codec::Zstd)];
        assert!(others.iter().all(|other| form(cut, *other) == Form::Plain), "{name}");
    }
}

#[test]
fn the_check_sum_is_that_of_the_catalogue() {
    assert_eq!(crc8(b"123456789"), 0xf7);
}

#[test]
fn lengths_that_lie_are_not_believed() {
    // A block of one byte that claims 128 MB, with the right check sum.
    let length = 0x0800_0000_i32.to_le_bytes();
    let lying = [&[crc8(&length)][..], &length, b"\x10a"].concat();
    assert_eq!(form(&lying, None), Form::Plain);
    let cut = b"\x28\xb5\x2f\xfd\x20\x01\xff\xff\xff";
    assert_eq!(form(cut, None), Form::Damaged(Codec::Zstd));
    assert_eq!(
        form(b"\x00a\xe0\xff\xff", None),
        Form::Plain,
        "it copies from before its beginning"
    );
}

/// What PHP's serializers make of a value.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|n| format!("i:{n};").into_bytes()),
        any::<bool>().prop_map(|b| format!("b:{};", u8::from(b)).into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(|text| {
            [format!("s:{}:\"", text.len()).as_bytes(), &text, b"\";"].concat()
        }),
    ];
    leaf.prop_recursive(3, 64, 8, |inner| {
        proptest::collection::vec(inner, 0..8).prop_map(|values| {
            let size = values.len();
            let items = values.into_iter().enumerate();
            let items =
                items.flat_map(|(at, value)| [format!("i:{at};").into_bytes(), value].concat());
            [format!("a:{size}:{{").into_bytes(), items.collect(), b"}".to_vec()].concat()
        })
    })
}

fn names() -> impl Strategy<Value = String> {
    "[^\u{0}-\u{1f}|!][^|!]{0,30}"
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn sessions_of_the_php_serializer_are_never_taken_for_compressed(
        variables in proptest::collection::vec((names(), value()), 0..6),
    ) {
        let session: Vec<u8> = variables
            .into_iter()
            .flat_map(|(name, value)| [name.as_bytes(), b"|", &value].concat())
            .collect();
        prop_assert_eq!(form(&session, None), Form::Plain);
    }

    #[test]
    fn sessions_of_php_serialize_are_never_taken_for_compressed(value in value()) {
        let session = [b"a:1:{i:0;", &value[..], b"}"].concat();
        prop_assert_eq!(form(&session, None), Form::Plain);
    }

    #[test]
    fn sessions_of_igbinary_and_msgpack_are_never_taken_for_compressed(
        head in prop_oneof![
            Just(vec![0, 0, 0, 1]),
            Just(vec![0, 0, 0, 2]),
            Just(vec![0xde]),
            Just(vec![0xdf]),
            (0x80..=0x8f_u8).prop_map(|first| vec![first]),
        ],
        rest in proptest::collection::vec(any::<u8>(), 0..3000),
    ) {
        prop_assert_eq!(form(&[head, rest].concat(), None), Form::Plain);
    }

    #[test]
    fn any_bytes_are_looked_at_without_harm(stored in proptest::collection::vec(any::<u8>(), 0..200)) {
        form(&stored, None);
        let zstd = [&ZSTD_MAGIC[..], &stored].concat();
        form(&zstd, None);
    }
}
