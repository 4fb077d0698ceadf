//! Compressing sessions, and decompressing them, as phpredis does.
//!
//! | module | owns |
//! |---|---|
//! | `zstd`, `lz4`, `lzf` | one codec each |
//!
//! What is written can be read by phpredis, and what it has written can be read
//! here. What cannot be decompressed is an error, never PHP's data.

mod lz4;
mod lzf;
mod zstd;

use std::borrow::Cow;
use std::fmt;

use crate::config::compression::{Codec, Compression};
use crate::session::stored_form::{Form, form};

/// Why stored bytes cannot be decompressed. The text follows "the session".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecompressError {
    /// They are not what the codec writes.
    Damaged,
    /// They would need more memory than PHP has left, in bytes.
    TooLarge {
        /// Their size when decompressed.
        size: usize,
        /// What PHP has left.
        most: usize,
    },
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str(
                "is damaged: it was cut, or changed by another program; the stored data are kept",
            ),
            Self::TooLarge { size, most } => write!(
                f,
                "has {size} bytes or more, and memory_limit leaves {most}; the stored data are kept"
            ),
        }
    }
}

/// The bytes to store for `data`. Takes memory only where `compression` is wanted
/// and helps.
///
/// What looks compressed already, which no serializer of PHP's gives, would be
/// decompressed when it is read: it is wrapped, so that it is read as it is.
pub fn encode<'a>(data: &'a [u8], compression: Option<&Compression>) -> Cow<'a, [u8]> {
    if form(data, compression.map(|wanted| wanted.codec)) != Form::Plain {
        return Cow::Owned(zstd::compress(data, 1));
    }
    let Some(compression) = compression.filter(|wanted| data.len() >= wanted.threshold) else {
        return Cow::Borrowed(data);
    };
    let compressed = match compression.codec {
        Codec::Zstd => zstd::compress(data, compression.level),
        Codec::Lz4 => lz4::compress(data),
        Codec::Lzf => lzf::compress(data),
    };
    // An empty result is no compressed session; one that did not shrink is no use.
    match compressed.is_empty() || compressed.len() >= data.len() {
        true => Cow::Borrowed(data),
        false => Cow::Owned(compressed),
    }
}

/// What `stored`, compressed with `codec`, stands for: at most `most` bytes.
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

/// Room for `size` bytes.
fn room(size: usize, most: usize) -> Result<Vec<u8>, DecompressError> {
    let mut room = Vec::new();
    match size > most || room.try_reserve_exact(size).is_err() {
        true => Err(DecompressError::TooLarge { size, most }),
        false => Ok(room),
    }
}

#[cfg(test)]
mod tests;
