//! A TCP proxy that records what passes, counts round trips and injects faults.
//!
//! Two threads a connection. Requests are passed on as they come, replies one
//! whole reply at a time. It works with TLS too, but then cannot count.

mod faults;
mod recording;

pub use faults::Fault;
#[allow(unused_imports)] // not every test file looks at the bytes
pub use recording::{Direction, Traffic};

use faults::{Faults, Meter, Verdict};
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use recording::Recording;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread::{self, JoinHandle};

pub struct RecordingProxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    target: Mutex<String>,
    faults: Faults,
    trap: Mutex<Option<Trap>>,
    recording: Mutex<Recording>,
    links: Mutex<Vec<Link>>,
}

/// A fault that waits for the answer to a command.
struct Trap {
    command: &'static str,
    fault: Fault,
    once: bool,
}

/// What Drop needs to end a connection. It does not keep the sockets open.
struct Link {
    pair: Weak<Pair>,
    threads: [JoinHandle<()>; 2],
}

/// Both sides of a connection; closed when both of its threads are done.
struct Pair {
    id: usize,
    client: TcpStream,
    server: TcpStream,
    /// The client's side is being reset: it is closed, and not shut down.
    reset: AtomicBool,
}

impl RecordingProxy {
    /// Listens on a free loopback port and connects each client to `target`.
    pub fn start(target: impl Into<String>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target: Mutex::new(target.into()),
            faults: Faults::default(),
            trap: Mutex::default(),
            recording: Mutex::default(),
            links: Mutex::default(),
        });
        let acceptor = thread::spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared)
        });
        Self { addr, shared, acceptor: Some(acceptor) }
    }

    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Connects new clients to another target. Those who are connected stay
    /// where they are, as behind a name whose address changes.
    pub fn retarget(&self, target: impl Into<String>) {
        *self.shared.target.lock().unwrap() = target.into();
    }

    /// `127.0.0.1:port`
    pub fn addr(&self) -> String {
        self.addr.to_string()
    }

    /// Connections accepted since the last reset.
    pub fn connections(&self) -> usize {
        self.recording().accepted
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> usize {
        let links = self.shared.links.lock().unwrap();
        links.iter().filter(|l| l.pair.strong_count() > 0).count()
    }

    /// Round trips of all connections since the last reset. A round trip begins
    /// with a command whose first byte comes when all earlier commands of its
    /// connection have been answered; so a pipeline is one round trip, however it
    /// is cut into packets.
    #[track_caller]
    pub fn round_trips(&self) -> usize {
        let recording = self.recording();
        recording.assert_understood();
        recording.round_trips
    }

    /// Commands of all connections since the last reset, with their arguments.
    #[track_caller]
    pub fn commands(&self) -> Vec<Vec<Vec<u8>>> {
        let recording = self.recording();
        recording.assert_understood();
        recording.commands.clone()
    }

    /// The first word of each command, in upper case.
    #[track_caller]
    pub fn command_names(&self) -> Vec<String> {
        let name = |command: &Vec<Vec<u8>>| String::from_utf8_lossy(&command[0]).to_uppercase();
        self.commands().iter().map(name).collect()
    }

    /// The bytes of each connection since the last reset, as the client sent
    /// and got them.
    pub fn traffic(&self) -> Vec<Traffic> {
        self.recording().traffic()
    }

    /// Counts from zero again; open connections stay open.
    pub fn reset(&self) {
        self.recording().reset();
    }

    /// From now on, until it is cleared, this goes wrong.
    pub fn set_fault(&self, fault: Fault) {
        self.set(fault, false);
    }

    /// This goes wrong once: for the first request, reply or connection it hits.
    pub fn set_fault_once(&self, fault: Fault) {
        self.set(fault, true);
    }

    /// From the next answer to this command on, which the client still gets as
    /// it is, this goes wrong, once or until it is cleared. Counting begins
    /// there, too.
    pub fn set_fault_after(&self, command: &'static str, fault: Fault, once: bool) {
        self.clear_fault();
        *self.shared.trap.lock().unwrap() = Some(Trap { command, fault, once });
    }

    pub fn clear_fault(&self) {
        self.set_fault(Fault::None);
    }

    fn set(&self, fault: Fault, once: bool) {
        *self.shared.trap.lock().unwrap() = None;
        self.shared.faults.set(fault, once);
    }

    fn recording(&self) -> MutexGuard<'_, Recording> {
        self.shared.recording()
    }
}

impl Drop for RecordingProxy {
    fn drop(&mut self) {
        self.shared.faults.stop();
        let _ = TcpStream::connect(self.addr); // wakes the acceptor
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        // The acceptor is gone, so there will be no further links.
        for link in self.shared.links.lock().unwrap().drain(..) {
            if let Some(pair) = link.pair.upgrade() {
                pair.cut();
            }
            for thread in link.threads {
                let _ = thread.join();
            }
        }
    }
}

impl Shared {
    fn target(&self) -> String {
        self.target.lock().unwrap().clone()
    }

    // Poisoned or not: `assert_understood` panics with it locked, and Drop
    // still needs it.
    fn recording(&self) -> MutexGuard<'_, Recording> {
        self.recording.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The answer to this connection's last command is about to be passed on.
    fn spring(&self, id: usize) {
        let mut recording = self.recording();
        let last = recording.last_command(id);
        let mut trap = self.trap.lock().unwrap();
        if let Some(Trap { fault, once, .. }) = trap.take_if(|trap| trap.command == last) {
            recording.reset();
            self.faults.set(fault, once);
        }
    }

    /// Passes on what the verdict allows; false ends the connection. What a
    /// fault held back until the end of the proxy never arrives.
    fn forward(&self, verdict: &Verdict, mut to: &TcpStream) -> bool {
        !self.faults.stopped() && to.write_all(&verdict.pass).is_ok() && !verdict.then_cut
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.faults.stopped() {
            return;
        }
        let Ok(client) = client else { continue };
        let id = shared.recording().accept();
        if shared.faults.on_accept() {
            reset(client);
        } else if let Ok(server) = TcpStream::connect(shared.target().as_str()) {
            link(shared, id, client, server);
        }
    }
}

/// Closes with RST in place of FIN.
fn reset(client: TcpStream) {
    reset_when_closed(&client);
}

fn reset_when_closed(client: &TcpStream) {
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(client, sockopt::Linger, &at_once).unwrap();
}

fn link(shared: &Arc<Shared>, id: usize, client: TcpStream, server: TcpStream) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let pair = Arc::new(Pair { id, client, server, reset: AtomicBool::new(false) });
    let weak = Arc::downgrade(&pair);
    let spawn = |pump: fn(&Shared, &Pair)| {
        let (shared, pair) = (shared.clone(), pair.clone());
        thread::spawn(move || pump(&shared, &pair))
    };
    // Listed before the client can get an answer.
    let mut links = shared.links.lock().unwrap();
    links.push(Link { pair: weak, threads: [spawn(requests), spawn(replies)] });
}

fn requests(shared: &Shared, pair: &Pair) {
    let mut meter = Meter::default();
    pump(pair, &pair.client, &pair.server, |bytes| {
        shared.recording().sent(pair.id, bytes);
        let verdict = shared.faults.on_request(&mut meter, bytes);
        if verdict.by_reset {
            reset_when_closed(&pair.client);
            pair.reset.store(true, Ordering::SeqCst);
        }
        shared.forward(&verdict, &pair.server)
    });
}

fn replies(shared: &Shared, pair: &Pair) {
    let mut meter = Meter::default();
    pump(pair, &pair.server, &pair.client, |bytes| {
        let pieces = shared.recording().arrived(pair.id, bytes);
        pieces.iter().all(|piece| {
            let verdict = shared.faults.on_reply(&mut meter, &piece.bytes);
            shared.recording().delivered(pair.id, &verdict.pass, piece.is_answer);
            if piece.is_answer {
                shared.spring(pair.id);
            }
            shared.forward(&verdict, &pair.client)
        })
    });
}

/// Hands what `from` says to `pass` until it says no or `from` has no more.
fn pump(pair: &Pair, mut from: &TcpStream, to: &TcpStream, mut pass: impl FnMut(&[u8]) -> bool) {
    let mut buffer = [0; 65536];
    loop {
        match from.read(&mut buffer) {
            Ok(0) if pair.reset.load(Ordering::SeqCst) => return,
            Ok(0) => {
                // The other direction may have more to say.
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            Ok(count) if pass(&buffer[..count]) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => return pair.cut(),
        }
    }
}

impl Pair {
    fn cut(&self) {
        if !self.reset.load(Ordering::SeqCst) {
            let _ = self.client.shutdown(Shutdown::Both);
        }
        let _ = self.server.shutdown(Shutdown::Both);
    }
}
