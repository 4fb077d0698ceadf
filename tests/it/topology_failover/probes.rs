//! When the new primary takes writes, and when the sentinels name it.

use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crate::support::process::poll;
use crate::support::sentinel::{SERVICE, Sentinel};
use crate::support::servers::RedisServer;

/// Writes again and again to whoever is to be the new primary.
pub(super) struct Prober {
    thread: JoinHandle<(Option<Duration>, usize)>,
    pub(super) begin: SystemTime,
}

/// Asks the sentinels again and again who the primary is: before they name
/// another one, no client can know it.
pub(super) struct Announcement {
    thread: JoinHandle<Option<Duration>>,
}

impl Announcement {
    /// Begins now.
    pub(super) fn await_at(service: &Sentinel) -> Self {
        let sockets: Vec<PathBuf> = service.sentinels().iter().map(RedisServer::socket).collect();
        let old = service.server(service.primary()).port();
        let start = Instant::now();
        let thread = thread::spawn(move || {
            let named = poll(Duration::from_secs(30), || {
                thread::sleep(Duration::from_millis(3));
                sockets.iter().any(|socket| primary_named_by(socket).is_ok_and(|port| port != old))
            });
            named.then(|| start.elapsed())
        });
        Self { thread }
    }

    /// How long it took until the first of them named another one.
    #[track_caller]
    pub(super) fn wait(self) -> Duration {
        let named = self.thread.join().unwrap();
        let named = named.unwrap_or_else(|| panic!("no sentinel named another primary in 30 s"));
        println!("named by the first sentinel after {:.2} s", named.as_secs_f64());
        named
    }
}

fn primary_named_by(sentinel: &Path) -> redis::RedisResult<u16> {
    let mut client = client(sentinel)?;
    let question = redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(SERVICE).take();
    let (_, port): (String, u16) = question.query(&mut client)?;
    Ok(port)
}

impl Prober {
    /// Begins now, on the servers' own sockets.
    pub(super) fn start<'a>(servers: impl Iterator<Item = &'a RedisServer>, key: &str) -> Self {
        let sockets: Vec<PathBuf> = servers.map(RedisServer::socket).collect();
        // In the slot of the session's key.
        let key = match key.contains('{') {
            true => format!("{key}probe"),
            false => format!("{{{key}}}probe"),
        };
        let (begin, start) = (SystemTime::now(), Instant::now());
        let thread = thread::spawn(move || {
            let mut refused = 0;
            let done = poll(Duration::from_secs(30), || {
                thread::sleep(Duration::from_millis(3));
                sockets.iter().any(|socket| {
                    let set = set(socket, &key);
                    refused += usize::from(set.is_err());
                    set.is_ok()
                })
            });
            (done.then(|| start.elapsed()), refused)
        });
        Self { thread, begin }
    }

    /// How long it took until a write was taken, and how many were not.
    #[track_caller]
    pub(super) fn wait(self) -> (Duration, usize) {
        let (took, refused) = self.thread.join().unwrap();
        (took.unwrap_or_else(|| panic!("no server became primary within 30 s")), refused)
    }
}

/// Each time on a new connection: a failover may close those that are open.
fn set(socket: &Path, key: &str) -> redis::RedisResult<()> {
    redis::cmd("SET").arg(key).arg(1).exec(&mut client(socket)?)
}

fn client(socket: &Path) -> redis::RedisResult<redis::Connection> {
    let address = redis::ConnectionAddr::Unix(socket.to_owned());
    let info = redis::IntoConnectionInfo::into_connection_info(address)?;
    redis::Client::open(info)?.get_connection()
}
