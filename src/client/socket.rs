//! A TCP or unix socket whose reads and writes end by a deadline.
//!
//! Signals do not disturb it: a read that one interrupts goes on. Does not
//! know the Redis protocol.

mod dial;

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};

use crate::client::dns::addresses;
use crate::config::server::Address;
use crate::runtime::deadline::left;

/// Idle time after which the kernel asks whether the other side still lives.
const KEEPALIVE_SECONDS: u32 = 60;
/// The socket's own timeout is set again only when it is off by more than
/// this part: setting it costs a system call.
const SLACK: u32 = 8;

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What has arrived on a socket that should be quiet.
pub enum Arrived {
    /// Nothing: it can be used.
    Nothing,
    /// The other side has closed it.
    Closed,
    /// Bytes, which were taken off the socket.
    Bytes(Vec<u8>),
}

/// A connected stream socket.
pub struct Socket {
    stream: Stream,
    deadline: Instant,
    limit: Duration,
    armed: Duration,
}

impl Socket {
    /// Connects within `timeout`, to any of the addresses of a name.
    ///
    /// # Errors
    /// The last address' error, `TimedOut`, or [`crate::client::dns::Unresolved`].
    pub fn connect(address: &Address, timeout: Duration) -> io::Result<Self> {
        let timeout = left(timeout);
        let deadline = Instant::now() + timeout;
        let stream = match address {
            Address::Tcp { host, port } => {
                connect_tcp(host, *port, deadline, timeout).map(Stream::Tcp)
            }
            Address::Unix(path) => dial::unix(path, deadline).map(Stream::Unix),
        };
        let stream = stream.map_err(|error| match error.kind() {
            ErrorKind::TimedOut => timed_out(timeout),
            _ => error,
        })?;
        let deadline = Instant::now() + timeout;
        let mut socket = Self { stream, deadline, limit: timeout, armed: Duration::ZERO };
        socket.arm(timeout)?;
        Ok(socket)
    }

    /// Starts an exchange that must end within `limit`.
    pub fn start(&mut self, limit: Duration) {
        self.limit = left(limit);
        self.deadline = Instant::now() + self.limit;
    }

    /// Takes up to 4 KB of what has arrived off the socket, without waiting.
    ///
    /// # Errors
    /// The socket's pending error, such as a reset connection.
    pub fn take_arrived(&self) -> io::Result<Arrived> {
        let socket = self.as_fd().as_raw_fd();
        // Every exchange does this, and room for more than a byte has to be zeroed.
        match recv(socket, &mut [0], MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK) {
            Ok(0) => Ok(Arrived::Closed),
            Ok(_) => {
                let mut bytes = vec![0; 4096];
                let size = recv(socket, &mut bytes, MsgFlags::MSG_DONTWAIT)?;
                bytes.truncate(size);
                Ok(Arrived::Bytes(bytes))
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(Arrived::Nothing),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits up to `poll_timeout` until there is something to read. A signal ends
    /// the wait early, with false.
    ///
    /// # Errors
    /// The wait is not possible.
    pub fn wait_readable(&self, poll_timeout: Duration) -> io::Result<bool> {
        let mut watched = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        // Rounded up: a wait of no time would turn into a busy loop.
        let poll_timeout = poll_timeout + Duration::from_micros(999);
        let timeout = PollTimeout::try_from(poll_timeout).unwrap_or(PollTimeout::MAX);
        match poll(&mut watched, timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Lets reads and writes wait no longer than until the deadline.
    fn arm_until_deadline(&mut self) -> io::Result<()> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let text = format!("no answer within {} s", self.limit.as_secs_f64());
            return Err(io::Error::new(ErrorKind::TimedOut, text));
        }
        if left.abs_diff(self.armed) > self.armed / SLACK { self.arm(left) } else { Ok(()) }
    }

    fn arm(&mut self, timeout: Duration) -> io::Result<()> {
        self.armed = timeout;
        // Zero would mean "for ever" to the kernel, which counts microseconds.
        let timeout = Some(timeout.max(Duration::from_micros(1)));
        match &self.stream {
            Stream::Tcp(tcp) => {
                tcp.set_read_timeout(timeout)?;
                tcp.set_write_timeout(timeout)
            }
            Stream::Unix(unix) => {
                unix.set_read_timeout(timeout)?;
                unix.set_write_timeout(timeout)
            }
        }
    }

    /// Repeats `io` until it answers or the deadline passes.
    fn retry_until_deadline(
        &mut self,
        mut io: impl FnMut(&mut Stream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            self.arm_until_deadline()?;
            match io(&mut self.stream) {
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                answer => return answer,
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(tcp) => tcp.as_fd(),
            Stream::Unix(unix) => unix.as_fd(),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.retry_until_deadline(|stream| match stream {
            Stream::Tcp(tcp) => tcp.read(buffer),
            Stream::Unix(unix) => unix.read(buffer),
        })
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.retry_until_deadline(|stream| match stream {
            Stream::Tcp(tcp) => tcp.write(bytes),
            Stream::Unix(unix) => unix.write(bytes),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn connect_tcp(
    host: &str,
    port: u16,
    deadline: Instant,
    timeout: Duration,
) -> io::Result<TcpStream> {
    let tcp = dial::tcp(&addresses(host, port, timeout)?, deadline)?;
    tcp.set_nodelay(true)?;
    setsockopt(&tcp, sockopt::KeepAlive, &true)?;
    setsockopt(&tcp, sockopt::TcpKeepIdle, &KEEPALIVE_SECONDS)?;
    Ok(tcp)
}

fn timed_out(timeout: Duration) -> io::Error {
    let text = format!("no connection within {} s", timeout.as_secs_f64());
    io::Error::new(ErrorKind::TimedOut, text)
}
