//! LZF: runs of up to 32 literal bytes, and copies of 3 to 264 bytes from up to
//! 8192 bytes before. A control byte says which, and how many.
//!
//! Written by hand, as there is no crate that is looked after.

use super::room::{DecompressError, room};
use crate::session::stored_form::lzf_size;

const MAX_LITERALS: usize = 32;
const MIN_COPY: usize = 3;
const MAX_COPY: usize = 264;
const MAX_DISTANCE: usize = 8192;
/// Places of the table of what begins where.
const TABLE_BITS: u32 = 13;

/// None where there are no `data`: they would have no first byte to tell them by.
pub(super) fn compress(data: &[u8]) -> Option<Vec<u8>> {
    if data.is_empty() {
        return None;
    }
    let mut stored = Vec::with_capacity(data.len());
    // Where three bytes with that hash were seen last, plus one.
    let mut seen = vec![0_usize; 1 << TABLE_BITS];
    let (mut at, mut literals) = (0, 0);
    while let Some([a, b, c, ..]) = data.get(at..) {
        let hash = u32::from_le_bytes([*a, *b, *c, 0]).wrapping_mul(0x9e37_79b1);
        let place = usize::try_from(hash >> (u32::BITS - TABLE_BITS)).unwrap_or(0);
        let Some(slot) = seen.get_mut(place) else { break };
        let before = std::mem::replace(slot, at + 1).checked_sub(1);
        let copy = before.filter(|before| at - before <= MAX_DISTANCE).map(|before| {
            let (old, new) = (data.iter().skip(before), data.iter().skip(at).take(MAX_COPY));
            (at - before, old.zip(new).take_while(|(old, new)| old == new).count())
        });
        match copy {
            Some((distance, length)) if length >= MIN_COPY => {
                put_literals(&mut stored, data.get(literals..at).unwrap_or_default());
                put_copy(&mut stored, distance - 1, length - 2);
                at += length;
                literals = at;
            }
            _ => at += 1,
        }
    }
    put_literals(&mut stored, data.get(literals..).unwrap_or_default());
    Some(stored)
}

fn put_literals(stored: &mut Vec<u8>, bytes: &[u8]) {
    for run in bytes.chunks(MAX_LITERALS) {
        stored.push(low(run.len() - 1));
        stored.extend_from_slice(run);
    }
}

/// `distance` is one less, `length` two less than what it says.
fn put_copy(stored: &mut Vec<u8>, distance: usize, length: usize) {
    match length {
        ..7 => stored.push(low(length << 5 | distance >> 8)),
        _ => stored.extend([low(7 << 5 | distance >> 8), low(length - 7)]),
    }
    stored.push(low(distance));
}

fn low(number: usize) -> u8 {
    (number & 0xff) as u8
}

pub(super) fn decompress(stored: &[u8], most: usize) -> Result<Vec<u8>, DecompressError> {
    let size = lzf_size(stored).ok_or(DecompressError::Damaged)?;
    let mut data = room(size, most)?;
    let mut rest = stored.iter().copied().map(usize::from);
    while let Some(control) = rest.next() {
        if control < MAX_LITERALS {
            data.extend(rest.by_ref().take(control + 1).map(low));
            continue;
        }
        let mut next = || rest.next().ok_or(DecompressError::Damaged);
        let length = match control >> 5 {
            7 => 9 + next()?,
            length => 2 + length,
        };
        let distance = ((control & 0x1f) << 8 | next()?) + 1;
        let start = data.len().checked_sub(distance).ok_or(DecompressError::Damaged)?;
        let mut left = length;
        while left > 0 {
            // A copy may reach into itself: then it repeats what is before it.
            let part = left.min(data.len() - start);
            data.extend_from_within(start..start + part);
            left -= part;
        }
    }
    Ok(data)
}
