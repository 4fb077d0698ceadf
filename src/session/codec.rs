//! Compressing sessions, and decompressing them, as phpredis does.
//!
//! | module | owns |
//! |---|---|
//! | `zstd`, `lz4`, `lzf` | one codec each |
//! | `room` | memory for what is decompressed, and why there is none |
//!
//! What is written can be read by phpredis, and what it has written can be read
//! here. What cannot be decompressed is an error, never PHP's data.

mod lz4;
mod lzf;
mod room;
mod zstd;

use std::borrow::Cow;

use crate::config::compression::{Codec, Compression};
use crate::session::stored_form::{Form, form, is_encrypted};

pub use room::DecompressError;

/// The bytes to store for `data`. Takes memory only where `compression` is wanted
/// and helps.
///
/// What looks compressed or encrypted already, which no serializer of PHP's gives, would be
/// decoded when it is read: it is wrapped, so that it is read as it is.
pub fn encode<'a>(data: &'a [u8], compression: Option<&Compression>) -> Cow<'a, [u8]> {
    let looks_encoded =
        is_encrypted(data) || form(data, compression.map(|wanted| wanted.codec)) != Form::Plain;
    let compressed = match compression {
        _ if looks_encoded => zstd::compress(data, 1),
        Some(wanted) if data.len() >= wanted.threshold => match wanted.codec {
            Codec::Zstd => zstd::compress(data, wanted.level),
            Codec::Lz4 => lz4::compress(data),
            Codec::Lzf => lzf::compress(data),
        },
        Some(_) | None => None,
    };
    match compressed {
        Some(smaller) if looks_encoded || smaller.len() < data.len() => Cow::Owned(smaller),
        Some(_) | None => Cow::Borrowed(data),
    }
}

/// The session of which `stored` is the form compressed with `codec`: at most `most` bytes.
///
/// # Errors
/// See [`DecompressError`]. No more memory is taken than the stored bytes can
/// fill, nor than `most`.
pub fn decompress(stored: &[u8], codec: Codec, most: usize) -> Result<Vec<u8>, DecompressError> {
    match codec {
        Codec::Zstd => zstd::decompress(stored, most),
        Codec::Lz4 => lz4::decompress(stored, most),
        Codec::Lzf => lzf::decompress(stored, most),
    }
}

#[cfg(test)]
mod tests;
