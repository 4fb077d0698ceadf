//! How sessions are compressed when they are stored: phpredis' settings, and ours.

use std::fmt;

/// What a session is compressed with.
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

/// How sessions are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    /// `redis.session.compression`.
    pub codec: Codec,
    /// `redis.session.compression_level`, as it is given; for zstd alone.
    pub level: i64,
    /// `redis_session.compression_threshold`, in bytes: what is smaller is stored
    /// as it is. Defaults to 1024.
    pub threshold: usize,
}

/// The codec that `redis.session.compression` names; none where sessions are not
/// compressed.
///
/// # Errors
/// There is no such codec; with what is there instead. Sessions are not
/// compressed then.
pub fn parse_codec(name: &str) -> Result<Option<Codec>, String> {
    match name {
        "" | "none" => Ok(None),
        "lzf" => Ok(Some(Codec::Lzf)),
        "zstd" => Ok(Some(Codec::Zstd)),
        "lz4" => Ok(Some(Codec::Lz4)),
        _ => Err(format!(
            "redis.session.compression = {name} is unknown, so sessions are stored uncompressed: \
             set it to none, lzf, zstd or lz4"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_known_by_their_exact_names() {
        assert_eq!(parse_codec(""), Ok(None));
        assert_eq!(parse_codec("none"), Ok(None));
        for codec in [Codec::Lzf, Codec::Zstd, Codec::Lz4] {
            assert_eq!(parse_codec(&codec.to_string()), Ok(Some(codec)));
        }
        for unknown in ["ZSTD", "lz4foo", " lzf", "gzip"] {
            let refusal = parse_codec(unknown).unwrap_err();
            assert!(refusal.contains(unknown) && refusal.contains("none, lzf, zstd or lz4"));
        }
    }
}
