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

use crate::config::compression::Codec;
use crate::config::settings::MAX_SIZE;

/// What a frame of Zstandard begins with.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Largest block of a frame, in bytes.
pub(super) const ZSTD_BLOCK: usize = 128 << 10;
/// The most bytes that one byte of an LZ4 block becomes.
const LZ4_RATIO: usize = 255;

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
///
/// LZ4 and LZF mark so little that a damaged session is told from a plain one only
/// where that codec is `expected`.
pub fn form(stored: &[u8], expected: Option<Codec>) -> Form {
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
        match expected {
            Some(Codec::Lz4) if lz4_block(stored).is_some() => Form::Damaged(Codec::Lz4),
            Some(Codec::Lzf) if begins_as_lzf(stored) => Form::Damaged(Codec::Lzf),
            _ => Form::Plain,
        }
    }
}

/// What an encrypted session begins with: no serializer and no codec does, and no
/// text in UTF-8.
pub(super) const ENCRYPTED_MAGIC: [u8; 4] = [0xff, 0xf5, 0xc0, 0xc1];

/// Whether `stored` is encrypted; also if it was cut, or one of its first bytes was
/// changed.
pub fn is_encrypted(stored: &[u8]) -> bool {
    if !matches!(stored, [0xff, ..] | [_, 0xf5, ..]) {
        return false; // of its first two bytes one is as it was
    }
    let like = stored.iter().zip(ENCRYPTED_MAGIC).filter(|(found, wanted)| *found == wanted);
    let like = like.count();
    like >= 3 || like > 0 && like == stored.len()
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
    lz4_block(stored).is_some_and(|(block, size)| lz4_size(block) == Some(size))
}

/// What follows phpredis' header of LZ4, and the size that this announces.
fn lz4_block(stored: &[u8]) -> Option<(&[u8], usize)> {
    let ([sum, length @ ..], block) = stored.split_first_chunk::<5>()?;
    let size = usize::try_from(i32::from_le_bytes(*length)).ok()?;
    let is_header = size > 0
        && size <= block.len().saturating_mul(LZ4_RATIO)
        && crc8(length) == *sum
        && !is_igbinary(stored);
    is_header.then_some((block, size))
}

/// Polynomial 0x31, initial value 0xff, not reflected.
pub(super) fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0xff, |sum, byte| {
        (0..8).fold(sum ^ byte, |sum, _| if sum & 0x80 == 0 { sum << 1 } else { sum << 1 ^ 0x31 })
    })
}

/// How many bytes a block of LZ4 becomes; none if it is no such block.
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
    begins_as_lzf(stored) && lzf_size(stored).is_some_and(|size| size <= MAX_SIZE)
}

/// The first byte announces literals, as there is nothing to copy yet.
fn begins_as_lzf(stored: &[u8]) -> bool {
    stored.first().is_some_and(|first| *first < 0x20) && !is_igbinary(stored)
}

fn is_igbinary(stored: &[u8]) -> bool {
    matches!(stored, [0, 0, 0, 1 | 2, ..])
}

/// How many bytes a stream of LZF becomes; none if it is no such stream.
pub(super) fn lzf_size(stream: &[u8]) -> Option<usize> {
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
pub(super) mod tests;
