//! One frame of Zstandard that tells the size of its content, without a check
//! sum. libzstd takes the size's word for nothing: it writes into the room that
//! it is given.

use zstd_safe::{get_frame_content_size, max_c_level};

use super::room::{DecompressError, room};
use crate::session::stored_form::ZSTD_BLOCK;

/// What phpredis takes where the level is less than 1.
const DEFAULT_LEVEL: i32 = 3;
/// What a block takes at least, in bytes.
const BLOCK_HEADER: usize = 3;

/// None where libzstd has no memory left. Levels below 1 are 3, those above the
/// highest are the highest.
pub(super) fn compress(data: &[u8], level: i64) -> Option<Vec<u8>> {
    let level = match level {
        ..1 => DEFAULT_LEVEL,
        level => i32::try_from(level).map_or(max_c_level(), |level| level.min(max_c_level())),
    };
    let mut stored = Vec::with_capacity(zstd_safe::compress_bound(data.len()));
    zstd_safe::compress(&mut stored, data, level).ok()?;
    Some(stored)
}

pub(super) fn decompress(stored: &[u8], most: usize) -> Result<Vec<u8>, DecompressError> {
    let size = get_frame_content_size(stored).ok().flatten().ok_or(DecompressError::Damaged)?;
    let size = usize::try_from(size).map_err(|_| DecompressError::Damaged)?;
    if size.div_ceil(ZSTD_BLOCK) > stored.len() / BLOCK_HEADER {
        return Err(DecompressError::Damaged); // more than so many blocks can hold
    }
    let mut data = room(size, most)?;
    match zstd_safe::decompress(&mut data, stored) {
        Ok(written) if written == size => Ok(data),
        _ => Err(DecompressError::Damaged),
    }
}
