//! The addresses of a host name, within a time limit.
//!
//! The system's resolver has no time limit: name servers that do not answer
//! block it for 5 to 30 seconds. So a thread of its own calls it, and the caller
//! waits for that thread no longer than its timeout.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::Duration;

use crate::runtime::threads::without_signals;

/// No address, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unresolved(String);

type Answer = io::Result<Vec<SocketAddr>>;

/// A lookup that is still running.
struct PendingLookup {
    host: String,
    port: u16,
    pid: u32,
    answer: Receiver<Answer>,
}

thread_local! {
    /// Lookups that this thread has stopped waiting for. The next lookup of the
    /// same name waits for them again, so that there is one thread for each name.
    static PENDING: RefCell<Vec<PendingLookup>> = const { RefCell::new(Vec::new()) };
}

/// The addresses of `host`. Starts a thread unless `host` is an address, and
/// blocks for up to `timeout`.
///
/// # Errors
/// [`Unresolved`]: there is no such name, or no answer within `timeout`.
pub fn addresses(host: &str, port: u16, timeout: Duration) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let answer = match take_pending(host, port) {
        Some(answer) => answer,
        None => start_lookup(host, port),
    };
    match answer.recv_timeout(timeout) {
        Ok(addresses) => addresses.map_err(|e| unresolved(e.to_string())),
        Err(RecvTimeoutError::Timeout) => {
            let open =
                PendingLookup { host: host.to_owned(), port, pid: std::process::id(), answer };
            PENDING.with_borrow_mut(|all| all.push(open));
            let seconds = timeout.as_secs_f64();
            Err(unresolved(format!("no answer from the name servers within {seconds} s")))
        }
        Err(RecvTimeoutError::Disconnected) => {
            Err(unresolved("the name lookup ended without an answer".to_owned()))
        }
    }
}

/// Takes the lookup of `host` that this thread waited for before, if it is still
/// running. An answer that came when no one waited may be out of date by now.
fn take_pending(host: &str, port: u16) -> Option<Receiver<Answer>> {
    PENDING.with_borrow_mut(|all| {
        let at = all.iter().position(|open| open.host == host && open.port == port)?;
        let open = all.swap_remove(at);
        if open.pid != std::process::id() {
            // The thread that would answer is the parent's. It may have been at
            // the channel when we were forked, so that dropping waited for it.
            std::mem::forget(open);
            return None;
        }
        matches!(open.answer.try_recv(), Err(TryRecvError::Empty)).then_some(open.answer)
    })
}

/// Starts a thread that looks `host` up. Where the system starts no more
/// threads, blocks for as long as the resolver does.
fn start_lookup(host: &str, port: u16) -> Receiver<Answer> {
    let (tell, answer) = mpsc::channel();
    let look = {
        let (host, tell) = (host.to_owned(), tell.clone());
        // Perhaps no one is waiting any more.
        move || drop(tell.send(resolve(&host, port)))
    };
    let name = "redis-session-dns".to_owned();
    if without_signals(|| thread::Builder::new().name(name).spawn(look)).is_err() {
        let _ = tell.send(resolve(host, port));
    }
    answer
}

fn resolve(host: &str, port: u16) -> Answer {
    (host, port).to_socket_addrs().map(Iterator::collect)
}

fn unresolved(reason: String) -> io::Error {
    io::Error::other(Unresolved(reason))
}
