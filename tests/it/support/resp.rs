//! Where commands and replies end in a stream of the Redis protocol.
//!
//! RESP2 and RESP3, without the streamed types that no server sends. It finds
//! boundaries and never interprets a reply.

/// Why no complete message was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// So far it is the beginning of one.
    More,
    /// It will never be one: TLS, for example.
    NotResp,
}

/// The arguments of the command at the start of `bytes`, and its length.
/// An inline command counts as well.
pub fn command(bytes: &[u8]) -> Result<(Vec<Vec<u8>>, usize), Stop> {
    match bytes.first() {
        None => Err(Stop::More),
        Some(b'*') => {
            let (count, mut at) = header(bytes)?;
            let mut args = Vec::new();
            for _ in 0..count.unwrap_or(0) {
                if bytes.get(at).is_some_and(|&kind| kind != b'$') {
                    return Err(Stop::NotResp);
                }
                let (Some(length), head) = header(&bytes[at..])? else {
                    return Err(Stop::NotResp);
                };
                let end = at + reply_len(&bytes[at..])?;
                args.push(bytes[at + head..][..length].to_vec());
                at = end;
            }
            Ok((args, at))
        }
        Some(first) if first.is_ascii_alphabetic() => {
            let (line, at) = line(bytes)?;
            let words = line.split(|&byte| byte == b' ');
            let args = words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec);
            Ok((args.collect(), at))
        }
        Some(_) => Err(Stop::NotResp),
    }
}

/// The length of the reply at the start of `bytes`. An attribute is part of
/// the reply that follows it.
pub fn reply_len(bytes: &[u8]) -> Result<usize, Stop> {
    let kind = *bytes.first().ok_or(Stop::More)?;
    match kind {
        b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => Ok(line(bytes)?.1),
        b'$' | b'=' | b'!' => {
            let (length, at) = header(bytes)?;
            let Some(length) = length else { return Ok(at) };
            let end = at.checked_add(length).ok_or(Stop::NotResp)?;
            match bytes.get(end..).unwrap_or_default() {
                [b'\r', b'\n', ..] => Ok(end + 2),
                [] | [b'\r'] => Err(Stop::More),
                [..] => Err(Stop::NotResp),
            }
        }
        b'*' | b'~' | b'>' | b'%' | b'|' => {
            let (count, mut at) = header(bytes)?;
            let count = count.unwrap_or(0);
            let values = match kind {
                b'%' => count.saturating_mul(2),
                b'|' => count.saturating_mul(2).saturating_add(1),
                _ => count,
            };
            for _ in 0..values {
                at += reply_len(&bytes[at..])?;
            }
            Ok(at)
        }
        _ => Err(Stop::NotResp),
    }
}

/// The number in a header such as `*3` or `$-1` (null), and the header's length.
fn header(bytes: &[u8]) -> Result<(Option<usize>, usize), Stop> {
    let (line, at) = line(bytes)?;
    let digits = line.get(1..).and_then(|text| str::from_utf8(text).ok());
    match digits {
        Some("-1") => Ok((None, at)),
        Some(text) => Ok((Some(text.parse().map_err(|_| Stop::NotResp)?), at)),
        None => Err(Stop::NotResp),
    }
}

/// The first line without its CRLF, and its length with it.
fn line(bytes: &[u8]) -> Result<(&[u8], usize), Stop> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n");
    let end = end.ok_or(Stop::More)?;
    Ok((&bytes[..end], end + 2))
}
