//! The Redis protocol on a byte stream: packs commands, reads replies.
//!
//! Values are the `redis` crate's. Reading is our own for three reasons: a
//! reply's length is checked before memory is reserved for it, a large value
//! is received where it is kept, and unexpected bytes are noticed.

use std::io::{self, Read};

use redis::{ErrorKind, PushKind, RedisError, RedisResult, Value};

/// Largest value a server can hold (`proto-max-bulk-len`), in bytes.
const MAX_BULK: usize = 512 << 20;
/// Longest line, in bytes: an error message, not data.
const MAX_LINE: usize = 64 << 10;
/// Most elements of one array; a cluster's slot map is the largest we read.
const MAX_ELEMENTS: usize = 1 << 16;
/// Deepest nesting; a slot map has four levels.
const MAX_DEPTH: usize = 16;
/// Bytes received at a time, and the step by which a large value grows.
const CHUNK: usize = 16 << 10;
const STEP: usize = 1 << 20;
/// The words before the arguments that a server repeats.
const ARGUMENTS: &str = ", with args beginning with";

/// Appends one command to `out`.
pub fn pack(out: &mut Vec<u8>, args: &[&[u8]]) {
    let size = args.iter().map(|arg| arg.len() + 16).sum::<usize>() + 16;
    out.reserve(size);
    number(out, b'*', args.len());
    for arg in args {
        number(out, b'$', arg.len());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// One line. By hand, as there is one for each word that is sent.
fn number(out: &mut Vec<u8>, kind: u8, mut value: usize) {
    let mut line = *b"00000000000000000000\r\n"; // the most digits there are
    let mut size = 2;
    for digit in line.iter_mut().rev().skip(2) {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        size += 1;
        if value == 0 {
            break;
        }
    }
    out.push(kind);
    out.extend_from_slice(line.get(line.len() - size..).unwrap_or_default());
}

/// Reads replies, keeping what was received beyond the last one.
pub struct Reader {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self { buffer: vec![0; CHUNK].into_boxed_slice(), start: 0, end: 0 }
    }
}

impl Reader {
    /// Whether bytes were received that belong to no reply read so far.
    pub fn has_surplus(&self) -> bool {
        self.start < self.end
    }

    /// Takes those bytes.
    pub fn take_surplus(&mut self) -> Vec<u8> {
        let surplus = self.buffer.get(self.start..self.end).unwrap_or_default().to_vec();
        self.start = self.end;
        surplus
    }

    /// Reads the next reply. An error reply is a `Value::ServerError`.
    ///
    /// # Errors
    /// I/O errors of `source`; a parse error for what is not the protocol or
    /// is larger than a session could ask for. Either ends the connection.
    pub fn read(&mut self, source: &mut dyn Read) -> RedisResult<Value> {
        loop {
            match self.value(source, 0)? {
                // Out-of-band messages answer no command of ours.
                Value::Push { .. } => {}
                value => return Ok(value),
            }
        }
    }

    fn value(&mut self, source: &mut dyn Read, depth: usize) -> RedisResult<Value> {
        if depth > MAX_DEPTH {
            return Err(protocol_error("a reply nested too deeply"));
        }
        let (kind, size) = match scalar(self.line(source)?)? {
            Head::Whole(value) => return Ok(value),
            Head::Sized(b'$' | b'*', None) => return Ok(Value::Nil),
            Head::Sized(kind, size) => (kind, size.unwrap_or(0)),
        };
        Ok(match kind {
            b'$' => Value::BulkString(self.bulk(source, size)?),
            b'!' => server_error(&self.bulk(source, size)?)?,
            b'=' => {
                let mut tagged = self.bulk(source, size)?;
                tagged.drain(..tagged.len().min(4)); // "txt:"
                Value::BulkString(tagged)
            }
            b'*' => Value::Array(self.values(source, size, depth)?),
            b'~' => Value::Set(self.values(source, size, depth)?),
            b'%' => {
                let mut pairs = self.values(source, size * 2, depth)?.into_iter();
                let mut map = Vec::new();
                while let (Some(key), Some(value)) = (pairs.next(), pairs.next()) {
                    map.push((key, value));
                }
                Value::Map(map)
            }
            b'|' => {
                self.values(source, size * 2, depth)?; // attributes of the value that follows
                self.value(source, depth + 1)?
            }
            _ => {
                let data = self.values(source, size, depth)?;
                Value::Push { kind: PushKind::Other(String::new()), data }
            }
        })
    }

    fn values(
        &mut self,
        source: &mut dyn Read,
        count: usize,
        depth: usize,
    ) -> RedisResult<Vec<Value>> {
        // Memory follows what has arrived, not what was announced.
        let mut values = Vec::with_capacity(count.min(16));
        for _ in 0..count {
            values.push(self.value(source, depth + 1)?);
        }
        Ok(values)
    }

    /// One line without its end.
    fn line(&mut self, source: &mut dyn Read) -> RedisResult<&[u8]> {
        let mut line_end = None;
        let mut seen = 0;
        while line_end.is_none() {
            let received = self.buffer.get(self.start..self.end).unwrap_or_default();
            let found = received.iter().skip(seen).position(|b| *b == b'\n');
            line_end = found.map(|at| seen + at);
            if line_end.is_none() {
                seen = received.len();
                self.fill(source)?;
            }
        }
        let size = line_end.unwrap_or_default();
        let line = self.buffer.get(self.start..self.start + size).unwrap_or_default();
        self.start += size + 1;
        line.strip_suffix(b"\r").ok_or_else(|| protocol_error("a line without its end"))
    }

    /// `size` bytes and the line end after them.
    fn bulk(&mut self, source: &mut dyn Read, size: usize) -> RedisResult<Vec<u8>> {
        let buffered = (self.end - self.start).min(size);
        let mut bytes = Vec::with_capacity(size.min(STEP));
        bytes.extend_from_slice(
            self.buffer.get(self.start..self.start + buffered).unwrap_or_default(),
        );
        self.start += buffered;
        while bytes.len() < size {
            let have = bytes.len();
            // Grows with what has arrived: an announced length is not trusted.
            bytes.resize(size.min((have * 2).max(STEP)), 0);
            let room = bytes.get_mut(have..).unwrap_or_default();
            source.read_exact(room)?;
        }
        match self.line(source)? {
            b"" => Ok(bytes),
            _ => Err(protocol_error("a value longer than announced")),
        }
    }

    /// Receives more after what is there.
    fn fill(&mut self, source: &mut dyn Read) -> RedisResult<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            if self.end >= MAX_LINE {
                return Err(protocol_error("an overlong line"));
            }
            let mut larger = vec![0; self.end * 2];
            larger.get_mut(..self.end).unwrap_or_default().copy_from_slice(&self.buffer);
            self.buffer = larger.into_boxed_slice();
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        match source.read(room)? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            received => {
                self.end += received;
                Ok(())
            }
        }
    }
}

/// The bytes of a reply that is a bulk string; none where it is null.
///
/// # Errors
/// A parse error for any other kind of reply.
pub fn bulk_or_nil(reply: Value) -> RedisResult<Option<Vec<u8>>> {
    match reply {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::Nil => Ok(None),
        _ => Err(protocol_error("something other than session data")),
    }
}

/// The error for a reply that no Redis server sends.
pub fn protocol_error(what: &'static str) -> RedisError {
    (ErrorKind::Parse, "the server sent", what.to_owned()).into()
}

/// What the first line of a reply says.
enum Head {
    /// All of it.
    Whole(Value),
    /// A kind and how much follows; none is the null of RESP2.
    Sized(u8, Option<usize>),
}

fn scalar(line: &[u8]) -> RedisResult<Head> {
    let (kind, rest) = line.split_first().ok_or_else(|| protocol_error("an empty line"))?;
    Ok(Head::Whole(match kind {
        b'$' | b'!' | b'=' => return Ok(Head::Sized(*kind, length(rest, MAX_BULK)?)),
        b'*' | b'~' | b'%' | b'|' | b'>' => {
            return Ok(Head::Sized(*kind, length(rest, MAX_ELEMENTS)?));
        }
        b'+' if rest == b"OK" => Value::Okay,
        b'+' | b'(' => Value::SimpleString(text(rest)),
        b'-' => server_error(rest)?,
        b':' => Value::Int(integer(rest)?),
        b'_' => Value::Nil,
        b'#' => Value::Boolean(rest == b"t"),
        b',' => {
            Value::Double(text(rest).parse().map_err(|_| protocol_error("a malformed number"))?)
        }
        _ => return Err(protocol_error("something that is not the Redis protocol")),
    }))
}

/// An error reply. The crate tells the kinds of errors apart by its parser.
/// A command that the server does not know is repeated in it, with a password,
/// a key or data: that part is removed.
fn server_error(message: &[u8]) -> RedisResult<Value> {
    let message = text(message);
    let line = message.split(ARGUMENTS).next().unwrap_or_default().replace(['\r', '\n'], " ");
    redis::parse_redis_value(format!("-{line}\r\n").as_bytes())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn integer(digits: &[u8]) -> RedisResult<i64> {
    let digits = std::str::from_utf8(digits).ok();
    digits.and_then(|text| text.parse().ok()).ok_or_else(|| protocol_error("a malformed number"))
}

/// An announced length; -1 is the null of RESP2.
fn length(digits: &[u8], limit: usize) -> RedisResult<Option<usize>> {
    match usize::try_from(integer(digits)?) {
        Ok(size) if size <= limit => Ok(Some(size)),
        Ok(_) => Err(protocol_error("a reply larger than any session")),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests;
