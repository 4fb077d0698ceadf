//! A client that knows just enough of the protocol to ask a server of ours how it is.
//!
//! It speaks over the server's own unix socket, which no other server can have taken, and
//! which has neither TLS nor a proxy.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);
/// No answer to what is asked here is longer, or has more parts.
const LONGEST: usize = 1 << 20;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A status or a string. Bytes that are no UTF-8 are replaced.
    Text(String),
    /// An error of the server's, which begins with its code.
    Error(String),
    /// A number.
    Number(i64),
    /// No string, or no array.
    Nil,
    /// An array.
    Array(Vec<Value>),
}

impl Value {
    /// What it says; empty for anything that is not a text.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Error(text) => text,
            Self::Number(_) | Self::Nil | Self::Array(_) => "",
        }
    }

    /// Its number, if it is one that counts something.
    pub fn number(&self) -> Option<usize> {
        match self {
            Self::Number(number) => usize::try_from(*number).ok(),
            Self::Text(_) | Self::Error(_) | Self::Nil | Self::Array(_) => None,
        }
    }

    /// Its parts; none for anything that is not an array.
    pub fn parts(&self) -> &[Value] {
        match self {
            Self::Array(parts) => parts,
            Self::Text(_) | Self::Error(_) | Self::Number(_) | Self::Nil => &[],
        }
    }

    /// An array of names, each followed by its value.
    pub fn fields(&self) -> HashMap<&str, &str> {
        let pairs = self.parts().chunks_exact(2);
        pairs
            .filter_map(|pair| match pair {
                [name, value] => Some((name.text(), value.text())),
                _ => None,
            })
            .collect()
    }
}

/// A connection, logged in.
#[derive(Debug)]
pub struct Client(BufReader<UnixStream>);

impl Client {
    /// Connects to the socket; with a password, as the default user.
    pub fn connect(socket: &Path, password: Option<&str>) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let mut client = Self(BufReader::new(stream));
        if let Some(password) = password {
            client.ask(&["AUTH", password])?;
        }
        Ok(client)
    }

    /// The answer to a command.
    pub fn ask(&mut self, command: &[&str]) -> io::Result<Value> {
        let mut packed = format!("*{}\r\n", command.len());
        for word in command {
            let _ = write!(packed, "${}\r\n{word}\r\n", word.len());
        }
        self.0.get_mut().write_all(packed.as_bytes())?;
        self.read()
    }

    fn read(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let (kind, rest) = line.trim_end().split_at_checked(1).ok_or_else(|| strange(&line))?;
        let length = || rest.parse::<i64>().map_err(|_| strange(&line));
        match kind {
            "+" => Ok(Value::Text(rest.to_owned())),
            "-" => Ok(Value::Error(rest.to_owned())),
            ":" => Ok(Value::Number(length()?)),
            "$" | "*" if length()? < 0 => Ok(Value::Nil),
            "$" => {
                let length = bounded(length()?, &line)?;
                let mut bytes = vec![0; length + 2];
                self.0.read_exact(&mut bytes)?;
                bytes.truncate(length);
                Ok(Value::Text(String::from_utf8_lossy(&bytes).into_owned()))
            }
            "*" => {
                let count = bounded(length()?, &line)?;
                (0..count).map(|_| self.read()).collect::<io::Result<_>>().map(Value::Array)
            }
            _ => Err(strange(&line)),
        }
    }
}

fn bounded(length: i64, line: &str) -> io::Result<usize> {
    usize::try_from(length).ok().filter(|length| *length <= LONGEST).ok_or_else(|| strange(line))
}

fn strange(line: &str) -> Error {
    Error::new(
        ErrorKind::InvalidData,
        format!("no answer of a Redis server: {:?}", line.trim_end()),
    )
}
