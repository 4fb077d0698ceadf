//! As much of a FastCGI client as it takes to request a PHP page.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;

/// What the page answered.
#[derive(Debug, Default)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub stderr: String,
}

impl Response {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The value of the last cookie of that name that the page set.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let set = self.headers.iter().rev();
        let mut cookies = set.filter(|(key, _)| key.eq_ignore_ascii_case("Set-Cookie"));
        cookies.find_map(|(_, cookie)| {
            let (key, rest) = cookie.split_once('=')?;
            (key == name).then(|| rest.split(';').next().unwrap_or(rest))
        })
    }
}

/// One GET request on its own connection. An error if the connection ends
/// before the answer does, or is silent for 30 seconds.
pub fn get(
    mut stream: UnixStream,
    script: &Path,
    query: &str,
    cookie: &str,
) -> io::Result<Response> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let script = script.to_str().unwrap();
    let uri = format!("/{}", script.rsplit('/').next().unwrap());
    let mut params = Vec::new();
    for (name, value) in [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("REQUEST_METHOD", "GET"),
        ("SCRIPT_FILENAME", script),
        ("SCRIPT_NAME", &uri),
        ("REQUEST_URI", &format!("{uri}?{query}")),
        ("QUERY_STRING", query),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("HTTP_COOKIE", cookie),
    ] {
        for text in [name, value] {
            // The high bit says that the length has four bytes.
            let length = u32::try_from(text.len()).unwrap() | 1 << 31;
            params.extend(length.to_be_bytes());
        }
        params.extend([name, value].concat().bytes());
    }
    let responder = [0, 1, 0, 0, 0, 0, 0, 0];
    let request = [
        record(BEGIN_REQUEST, &responder),
        record(PARAMS, &params),
        record(PARAMS, b""),
        record(STDIN, b""),
    ];
    stream.write_all(&request.concat())?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        let mut header = [0; 8];
        stream.read_exact(&mut header)?;
        let [_, kind, _, _, high, low, padding, _] = header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let mut content = vec![0; length + usize::from(padding)];
        stream.read_exact(&mut content)?;
        content.truncate(length);
        match kind {
            STDOUT => stdout.extend(content),
            STDERR => stderr.extend(content),
            END_REQUEST => return Ok(parse(&stdout, &stderr)),
            other => return Err(io::Error::other(format!("FastCGI record {other}"))),
        }
    }
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("parameters fit in one record");
    let [high, low] = length.to_be_bytes();
    [&[1, kind, 0, 1, high, low, 0, 0], content].concat()
}

fn parse(stdout: &[u8], stderr: &[u8]) -> Response {
    let text = String::from_utf8_lossy(stdout);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or(("", &text));
    let mut response = Response {
        status: 200,
        headers: Vec::new(),
        body: body.into(),
        stderr: String::from_utf8_lossy(stderr).into_owned(),
    };
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        if name == "Status" {
            response.status = value[..3].parse().unwrap();
        }
        response.headers.push((name.into(), value.into()));
    }
    response
}
