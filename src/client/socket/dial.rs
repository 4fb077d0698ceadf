//! Connecting within a time limit, to whichever address answers first.
//!
//! A connect that the kernel waits for has no time limit of its own, least of all
//! on a Unix socket. So no attempt waits: all are polled together until one of
//! them has connected, or the time is over.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, connect, socket,
};

/// Head start of an address before the next one of the same name is tried as
/// well (RFC 8305): one that does not answer must not use up all the time.
const HEAD_START: Duration = Duration::from_millis(250);
/// Pause before a Unix socket whose queue is full is tried again. The kernel
/// does not tell when there is room.
const FULL: Duration = Duration::from_millis(5);

/// Connects to one of `addresses`; blocks until the `deadline` at most.
///
/// # Errors
/// The last failure; `TimedOut` without a text if there was no answer in time.
pub fn tcp(addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(ErrorKind::NotFound, "the host name has no address");
    let mut waiting = alternating(addresses).into_iter().peekable();
    let mut attempts: Vec<TcpStream> = Vec::new();
    let mut next = Instant::now();
    let share = deadline.saturating_duration_since(next);
    let head_start = HEAD_START.min(share / u32::try_from(addresses.len()).unwrap_or(1).max(1));
    loop {
        while waiting.peek().is_some() && (attempts.is_empty() || Instant::now() >= next) {
            let Some(address) = waiting.next() else { break };
            next = Instant::now() + head_start;
            match begin(&address) {
                Ok(attempt) => attempts.push(attempt.into()),
                Err(error) => failure = error,
            }
        }
        if attempts.is_empty() {
            return Err(failure);
        }
        let until = if waiting.peek().is_some() { next.min(deadline) } else { deadline };
        for index in wait_for_any(&attempts, until)?.into_iter().rev() {
            let attempt = attempts.swap_remove(index);
            match attempt.take_error() {
                Ok(None) => {
                    attempt.set_nonblocking(false)?;
                    return Ok(attempt);
                }
                Ok(Some(error)) | Err(error) => failure = error,
            }
            next = Instant::now(); // the next address need not wait any more
        }
        if Instant::now() >= deadline {
            return Err(ErrorKind::TimedOut.into());
        }
    }
}

/// Connects to a Unix socket; blocks until the `deadline` at most.
///
/// # Errors
/// As for [`tcp`].
pub fn unix(path: &Path, deadline: Instant) -> io::Result<UnixStream> {
    let address = UnixAddr::new(path)?;
    loop {
        let stream = open(AddressFamily::Unix)?;
        match connect(stream.as_raw_fd(), &address) {
            Ok(()) => {
                let stream = UnixStream::from(stream);
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(ErrorKind::TimedOut.into());
                }
                thread::sleep(FULL.min(left));
            }
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The addresses of both families in turn, beginning with the resolver's first.
fn alternating(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_first = |address: &&SocketAddr| {
        addresses.first().is_some_and(|first| first.is_ipv6() == address.is_ipv6())
    };
    let (mut these, mut those) =
        (addresses.iter().filter(is_first), addresses.iter().filter(|it| !is_first(it)));
    let mut all = Vec::with_capacity(addresses.len());
    while all.len() < addresses.len() {
        all.extend(these.next().copied());
        all.extend(those.next().copied());
    }
    all
}

fn begin(address: &SocketAddr) -> io::Result<OwnedFd> {
    let address = SockaddrStorage::from(*address);
    let stream = open(address.family().unwrap_or(AddressFamily::Inet))?;
    match connect(stream.as_raw_fd(), &address) {
        Ok(()) | Err(Errno::EINPROGRESS | Errno::EINTR) => Ok(stream),
        Err(errno) => Err(errno.into()),
    }
}

fn open(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    Ok(socket(family, SockType::Stream, flags, None)?)
}

/// Waits until that time for any of the attempts to succeed or to fail. Returns
/// the indexes of those that have, the lowest first.
fn wait_for_any(attempts: &[TcpStream], until: Instant) -> io::Result<Vec<usize>> {
    let mut watched: Vec<_> =
        attempts.iter().map(|it| PollFd::new(it.as_fd(), PollFlags::POLLOUT)).collect();
    // Rounded up: a wait of no time would turn into a busy loop.
    let left = until.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
    match poll(&mut watched, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    let is_done = |it: &PollFd<'_>| it.revents().is_some_and(|events| !events.is_empty());
    Ok(watched.iter().enumerate().filter(|(_, it)| is_done(it)).map(|(index, _)| index).collect())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use nix::sys::socket::{Backlog, listen};

    use super::*;

    /// An address that does not answer: its queue is full.
    struct BlackHole {
        addr: SocketAddr,
        _kept: (TcpListener, Vec<TcpStream>),
    }

    fn black_hole(host: &str) -> BlackHole {
        let listener = TcpListener::bind((host, 0)).unwrap();
        listen(&listener, Backlog::new(0).unwrap()).unwrap();
        let addr = listener.local_addr().unwrap();
        let knock = || TcpStream::connect_timeout(&addr, Duration::from_millis(100)).ok();
        let queue = std::iter::from_fn(knock).collect();
        BlackHole { addr, _kept: (listener, queue) }
    }

    fn within(limit: Duration) -> Instant {
        Instant::now() + limit
    }

    const LIMIT: Duration = Duration::from_secs(5);
    /// What takes no time, on a busy machine.
    const SOON: Duration = Duration::from_secs(1);

    #[test]
    fn an_address_that_nobody_answers_at_delays_the_others_by_a_moment() {
        let live = TcpListener::bind("127.0.0.1:0").unwrap();
        let (first, second) = (black_hole("127.0.0.1"), black_hole("127.0.0.2"));
        let addresses = [first.addr, second.addr, live.local_addr().unwrap()];
        let start = Instant::now();
        let stream = tcp(&addresses, within(LIMIT)).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live.local_addr().unwrap());
        assert!(start.elapsed() >= 2 * HEAD_START);
        assert!(start.elapsed() < 2 * HEAD_START + SOON, "{:?}", start.elapsed());
    }

    #[test]
    fn an_address_that_refuses_delays_nobody() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let live = TcpListener::bind("127.0.0.1:0").unwrap();
        let addresses = [closed, closed, closed, live.local_addr().unwrap()];
        let start = Instant::now();
        tcp(&addresses, within(LIMIT)).unwrap();
        assert!(start.elapsed() < HEAD_START, "{:?}", start.elapsed());
        let error = tcp(&addresses[..3], within(LIMIT)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(tcp(&[], within(LIMIT)).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn in_a_short_time_each_address_gets_its_share() {
        let live = TcpListener::bind("127.0.0.1:0").unwrap();
        let holes = ["127.0.0.1", "127.0.0.2", "127.0.0.3"].map(black_hole);
        let mut addresses: Vec<_> = holes.iter().map(|hole| hole.addr).collect();
        addresses.push(live.local_addr().unwrap());
        assert!(tcp(&addresses, within(2 * HEAD_START)).is_ok());
    }

    #[test]
    fn the_first_address_is_still_waited_for_while_others_are_tried() {
        // Room in its queue comes only after the others had their head start.
        let slow = black_hole("127.0.0.1");
        let (listener, _) = &slow._kept;
        let other = black_hole("127.0.0.2");
        thread::scope(|scope| {
            let connecting = scope.spawn(|| tcp(&[slow.addr, other.addr], within(LIMIT)));
            thread::sleep(2 * HEAD_START);
            listener.set_nonblocking(true).unwrap();
            while listener.accept().is_ok() {}
            assert_eq!(connecting.join().unwrap().unwrap().peer_addr().unwrap(), slow.addr);
        });
    }

    #[test]
    fn no_answer_from_anybody_ends_in_time() {
        let holes = [black_hole("127.0.0.1"), black_hole("127.0.0.2")];
        let start = Instant::now();
        let limit = Duration::from_millis(300);
        let error = tcp(&[holes[0].addr, holes[1].addr], within(limit)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= limit && start.elapsed() < limit + SOON);
    }

    #[test]
    fn a_unix_socket_with_a_full_queue_is_waited_for_but_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        listen(&listener, Backlog::new(0).unwrap()).unwrap();
        let limit = Duration::from_millis(100);
        let queue: Vec<_> = std::iter::from_fn(|| unix(&path, within(limit)).ok()).collect();
        let start = Instant::now();
        assert_eq!(unix(&path, within(limit)).unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= limit && start.elapsed() < limit + SOON);
        thread::scope(|scope| {
            let connecting = scope.spawn(|| unix(&path, within(LIMIT)));
            thread::sleep(limit);
            drop(listener.accept().unwrap());
            assert!(connecting.join().unwrap().is_ok());
        });
        drop(queue);
    }

    #[test]
    fn both_families_take_turns_and_the_resolver_s_first_stays_first() {
        let parse = |text: &str| text.parse::<SocketAddr>().unwrap();
        let [a, b, c] = ["[::1]:1", "[::2]:1", "[::3]:1"].map(parse);
        let [x, y] = ["127.0.0.1:1", "127.0.0.2:1"].map(parse);
        assert_eq!(alternating(&[a, b, c, x, y]), [a, x, b, y, c]);
        assert_eq!(alternating(&[x, a, b]), [x, a, b]);
        assert_eq!(alternating(&[x, y]), [x, y]);
        assert_eq!(alternating(&[]), []);
    }
}
