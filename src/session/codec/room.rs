//! Memory for what is decompressed, and why there is none.

use std::fmt;

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

/// Room for `size` bytes.
pub(super) fn room(size: usize, most: usize) -> Result<Vec<u8>, DecompressError> {
    let mut room = Vec::new();
    match size > most || room.try_reserve_exact(size).is_err() {
        true => Err(DecompressError::TooLarge { size, most }),
        false => Ok(room),
    }
}
