//! In which form a session is stored: as PHP's serializer gave it, or
//! compressed by phpredis.
//!
//! phpredis marks nothing. But no serializer of PHP's gives what its codecs
//! give, so that the form can be told from the bytes: by their structure, all
//! the way to its exact end. Nothing is decompressed here, and no memory taken.
//!
//! | serializer | begins with |
//! |---|---|
//! | `php` | the name of a variable, or nothing |
//! | `php_serialize` | `a:` |
//! | igbinary | 00 00 00 01 or 00 00 00 02 |
//! | msgpack | 8x, DE, DF |

use std::fmt;

/// How phpredis compresses sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// A frame of Zstandard.
    Zstd,
    /// A check sum, the length, a block of LZ4.
    Lz4,
    /// A stream of LZF.
    Lzf,
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Lzf => "lzf",
        })
    }
}

/// What a frame of Zstandard begins with.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Largest block of a frame, in bytes.
const ZSTD_BLOCK: usize = 128 << 10;
/// The most bytes that one byte of an LZ4 block stands for.
const LZ4_RATIO: usize = 255;
/// The largest session, in bytes: what Redis keeps under one key.
const MAX_SIZE: usize = 512 << 20;

/// How a session is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As the serializer gave it.
    Plain,
    /// With this codec.
    Compressed(Codec),
    /// It begins as this codec does, and ends too early or too late.
    Damaged(Codec),
}

/// The form of what is `stored`. The first bytes tell for nearly all that is
/// not compressed.
pub fn form(stored: &[u8]) -> Form {
    if let Some(frame) = stored.strip_prefix(&ZSTD_MAGIC) {
        match zstd_rest(frame) {
            Some([]) => Form::Compressed(Codec::Zstd),
            _ => Form::Damaged(Codec::Zstd),
        }
    } else if is_lz4(stored) {
        Form::Compressed(Codec::Lz4)
    } else if is_lzf(stored) {
        Form::Compressed(Codec::Lzf)
    } else {
        Form::Plain
    }
}

/// What is left of some bytes.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn byte(&mut self) -> Option<usize> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some((*first).into())
    }

    /// Up to four bytes, the least significant first.
    fn number(&mut self, bytes: u32) -> Option<usize> {
        (0..bytes).try_fold(0, |number, at| Some(number | self.byte()? << (8 * at)))
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }
}

/// What follows the frame that `bytes` are without its magic number.
fn zstd_rest(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = Rest(bytes);
    let descriptor = rest.byte()?;
    if descriptor & 0b1000 != 0 {
        return None; // reserved
    }
    let is_one_segment = descriptor & 0b10_0000 != 0;
    let window = usize::from(!is_one_segment);
    let dictionary = [0, 1, 2, 4].get(descriptor & 0b11)?;
    let content_sizes = [usize::from(is_one_segment), 2, 4, 8];
    let content_size = content_sizes.get(descriptor >> 6)?;
    rest.skip(window + dictionary + content_size)?;
    loop {
        let header = rest.number(3)?;
        let size = header >> 3;
        if size > ZSTD_BLOCK {
            return None;
        }
        match (header >> 1) & 0b11 {
            0 | 2 => rest.skip(size)?,
            1 => rest.skip(1)?, // one byte, repeated
            _ => return None,
        }
        if header & 1 != 0 {
            break;
        }
    }
    let has_check_sum = descriptor & 0b100 != 0;
    rest.skip(if has_check_sum { 4 } else { 0 })?;
    Some(rest.0)
}

fn is_lz4(stored: &[u8]) -> bool {
    let Some(([sum, length @ ..], block)) = stored.split_first_chunk::<5>() else { return false };
    let Ok(size) = usize::try_from(i32::from_le_bytes(*length)) else { return false };
    size > 0
        && size <= block.len().saturating_mul(LZ4_RATIO)
        && crc8(length) == *sum
        && lz4_size(block) == Some(size)
}

/// Polynomial 0x31, initial value 0xff, not reflected.
fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0xff, |sum, byte| {
        (0..8).fold(sum ^ byte, |sum, _| if sum & 0x80 == 0 { sum << 1 } else { sum << 1 ^ 0x31 })
    })
}

/// How many bytes a block of LZ4 stands for; none if it is no such block.
fn lz4_size(block: &[u8]) -> Option<usize> {
    let mut rest = Rest(block);
    let mut size = 0_usize;
    loop {
        let token = rest.byte()?;
        let literals = lz4_length(&mut rest, token >> 4)?;
        rest.skip(literals)?;
        size = size.checked_add(literals)?;
        if rest.0.is_empty() {
            return Some(size); // a block ends with literals
        }
        let distance = rest.number(2)?;
        if distance == 0 || distance > size {
            return None;
        }
        let copied = lz4_length(&mut rest, token & 0xf)?;
        size = size.checked_add(copied)?.checked_add(4)?;
    }
}

/// A length that begins with four bits, and goes on while there is no more
/// room in what there is.
fn lz4_length(rest: &mut Rest<'_>, first: usize) -> Option<usize> {
    let mut length = first;
    if first == 15 {
        loop {
            let more = rest.byte()?;
            length = length.checked_add(more)?;
            if more < 255 {
                break;
            }
        }
    }
    Some(length)
}

fn is_lzf(stored: &[u8]) -> bool {
    let begins_with_literals = stored.first().is_some_and(|first| *first < 0x20);
    let is_igbinary = matches!(stored, [0, 0, 0, 1 | 2, ..]);
    begins_with_literals && !is_igbinary && lzf_size(stored).is_some_and(|size| size <= MAX_SIZE)
}

/// How many bytes a stream of LZF stands for; none if it is no such stream.
fn lzf_size(stream: &[u8]) -> Option<usize> {
    let mut rest = Rest(stream);
    let mut size = 0_usize;
    while !rest.0.is_empty() {
        let control = rest.byte()?;
        if control < 0x20 {
            rest.skip(control + 1)?;
            size = size.checked_add(control + 1)?;
            continue;
        }
        let length = match control >> 5 {
            7 => 7 + rest.byte()?,
            length => length,
        };
        let distance = ((control & 0x1f) << 8 | rest.byte()?) + 1;
        if distance > size {
            return None;
        }
        size = size.checked_add(length + 2)?;
    }
    Some(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What phpredis 6 stores for some inputs, by codec and level.
    const VECTORS: &str = include_str!("../../tests/compression-vectors.tsv");

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    fn vectors() -> impl Iterator<Item = (String, Form, Vec<u8>)> {
        VECTORS.lines().skip(1).map(|line| {
            let columns: Vec<_> = line.split('\t').collect();
            let (name, stored) = (columns[..3].join(" "), bytes(columns[6]));
            let form = match columns[1] {
                _ if columns[5] == columns[6] => Form::Plain, // stored as it was
                "zstd" => Form::Compressed(Codec::Zstd),
                "lz4" => Form::Compressed(Codec::Lz4),
                "lzf" => Form::Compressed(Codec::Lzf),
                other => panic!("{other}"),
            };
            (name, form, stored)
        })
    }

    #[test]
    fn what_phpredis_has_compressed_is_recognised_by_its_codec() {
        let mut found = [0; 3];
        for (name, expected, stored) in vectors() {
            assert_eq!(form(&stored), expected, "{name}");
            if let Form::Compressed(codec) = expected {
                found[codec as usize] += 1;
            }
        }
        assert!(found.iter().all(|count| *count >= 7), "{found:?}");
    }

    #[test]
    fn what_ends_too_early_or_goes_on_is_not_taken_for_compressed() {
        for (name, expected, stored) in vectors() {
            let otherwise = match expected {
                Form::Compressed(Codec::Zstd) => Form::Damaged(Codec::Zstd),
                Form::Compressed(Codec::Lz4) => Form::Plain,
                // An LZF stream has no end of its own: it may end wherever a part does.
                _ => continue,
            };
            for end in 5..stored.len() {
                assert_eq!(form(&stored[..end]), otherwise, "{name} {end}");
            }
            assert_eq!(form(&[&stored[..], b"\xff"].concat()), otherwise, "{name}");
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
        assert_eq!(form(&lying), Form::Plain);
        let cut = b"\x28\xb5\x2f\xfd\x20\x01\xff\xff\xff";
        assert_eq!(form(cut), Form::Damaged(Codec::Zstd));
        assert_eq!(form(b"\x00a\xe0\xff\xff"), Form::Plain, "it copies from before its beginning");
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
            prop_assert_eq!(form(&session), Form::Plain);
        }

        #[test]
        fn sessions_of_php_serialize_are_never_taken_for_compressed(value in value()) {
            let session = [b"a:1:{i:0;", &value[..], b"}"].concat();
            prop_assert_eq!(form(&session), Form::Plain);
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
            prop_assert_eq!(form(&[head, rest].concat()), Form::Plain);
        }

        #[test]
        fn any_bytes_are_looked_at_without_harm(stored in proptest::collection::vec(any::<u8>(), 0..200)) {
            form(&stored);
            let zstd = [&ZSTD_MAGIC[..], &stored].concat();
            form(&zstd);
        }
    }
}
