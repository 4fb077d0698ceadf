//! A server that says what the test wants it to say, right or wrong.

use super::resp::{self, Stop};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Answers each command with what `answer` makes of its words.
pub struct ScriptedServer {
    addr: SocketAddr,
    stopped: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl ScriptedServer {
    pub fn start(answer: impl Fn(&[String]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let acceptor = thread::spawn({
            let (stopped, answer) = (stopped.clone(), Arc::new(answer));
            move || {
                let mut threads = Vec::new();
                for client in listener.incoming().flatten() {
                    if stopped.load(Ordering::SeqCst) {
                        break;
                    }
                    let (stopped, answer) = (stopped.clone(), answer.clone());
                    threads.push(thread::spawn(move || serve(client, &stopped, &*answer)));
                }
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            }
        });
        Self { addr, stopped, acceptor: Some(acceptor) }
    }

    /// A sentinel that names this port for any service, in its first epoch.
    pub fn sentinel_naming(port: u16) -> Self {
        Self::sentinel(port, 0, "none", 0)
    }

    /// A sentinel that names this port for any service, and knows one replica.
    pub fn sentinel(port: u16, epoch: u64, failover: &'static str, replica: u16) -> Self {
        Self::start(move |command| match command[0].to_uppercase().as_str() {
            "HELLO" => b"%1\r\n$4\r\nrole\r\n$8\r\nsentinel\r\n".to_vec(),
            "SENTINEL" => match command[1].to_uppercase().as_str() {
                "MASTER" => {
                    let epoch = epoch.to_string();
                    map(&[("config-epoch", &epoch), ("failover-state", failover)])
                }
                "REPLICAS" => {
                    let replica = map(&[("ip", "127.0.0.1"), ("port", &replica.to_string())]);
                    [b"*1\r\n".to_vec(), replica].concat()
                }
                _ => {
                    let (host, port) = (bulk("127.0.0.1"), bulk(&port.to_string()));
                    format!("*2\r\n{host}{port}").into_bytes()
                }
            },
            "SUBSCRIBE" => {
                let channels = command[1..].iter().map(|name| {
                    format!(">3\r\n$9\r\nsubscribe\r\n${}\r\n{name}\r\n:1\r\n", name.len())
                });
                channels.collect::<String>().into_bytes()
            }
            _ => b"+OK\r\n".to_vec(),
        })
    }

    /// Something that speaks HTTP only.
    pub fn http() -> Self {
        Self::start(|_| b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec())
    }

    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// `127.0.0.1:port`
    pub fn addr(&self) -> String {
        self.addr.to_string()
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr); // wakes the acceptor
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn map(pairs: &[(&str, &str)]) -> Vec<u8> {
    let body: String = pairs.iter().map(|(name, value)| bulk(name) + &bulk(value)).collect();
    format!("%{}\r\n{body}", pairs.len()).into_bytes()
}

fn serve(mut client: TcpStream, stopped: &AtomicBool, answer: &dyn Fn(&[String]) -> Vec<u8>) {
    client.set_nodelay(true).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let (mut pending, mut buffer) = (Vec::new(), [0; 4096]);
    while !stopped.load(Ordering::SeqCst) {
        match client.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => pending.extend_from_slice(&buffer[..count]),
            Err(_) => continue,
        }
        loop {
            match resp::command(&pending) {
                Ok((words, len)) => {
                    let words = words.iter().map(|word| String::from_utf8_lossy(word).into());
                    let words: Vec<String> = words.collect();
                    if client.write_all(&answer(&words)).is_err() {
                        return;
                    }
                    pending.drain(..len);
                }
                Err(Stop::More) => break,
                Err(Stop::NotResp) => return,
            }
        }
    }
}
