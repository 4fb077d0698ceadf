//! phpredis' form of LZ4: the CRC-8 of the length, the length, one block.

use super::room::{DecompressError, room};
use crate::session::stored_form::crc8;

const HEADER: usize = 5;

/// None where there are no `data`, or too many for the length that is stored.
pub(super) fn compress(data: &[u8]) -> Option<Vec<u8>> {
    let size = i32::try_from(data.len()).ok().filter(|size| *size > 0)?;
    let length = size.to_le_bytes();
    let mut stored = vec![0; HEADER + lz4_flex::block::get_maximum_output_size(data.len())];
    let (header, block) = stored.split_at_mut(HEADER);
    header.copy_from_slice(&[&[crc8(&length)][..], &length].concat());
    let written = lz4_flex::block::compress_into(data, block).ok()?;
    stored.truncate(HEADER + written);
    Some(stored)
}

pub(super) fn decompress(stored: &[u8], most: usize) -> Result<Vec<u8>, DecompressError> {
    let (header, block) = stored.split_first_chunk::<HEADER>().ok_or(DecompressError::Damaged)?;
    let [_, length @ ..] = header;
    let size =
        usize::try_from(i32::from_le_bytes(*length)).map_err(|_| DecompressError::Damaged)?;
    let mut data = room(size, most)?;
    data.resize(size, 0);
    match lz4_flex::block::decompress_into(block, &mut data) {
        Ok(written) if written == size => Ok(data),
        _ => Err(DecompressError::Damaged),
    }
}
