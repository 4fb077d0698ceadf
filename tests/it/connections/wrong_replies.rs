//! Replies that are not, or not only, the one that was asked for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::{READ, site};
use crate::support::proxy::Fault;
use crate::support::resp;
use crate::support::scripted::ScriptedServer;
use crate::support::site::{Site, php};

#[test]
fn a_reply_that_comes_twice_reaches_no_other_visitor() {
    let fixture = site();
    fixture.proxy.set_fault(Fault::DuplicateReply);
    fixture.read("alice");
    let bob = fixture.read("bob");
    assert!(!bob.body.contains("alice"), "{}", bob.body);
    fixture.proxy.clear_fault();
    fixture.assert_in_order();
}

#[test]
fn a_single_doubled_reply_is_noticed_and_costs_the_connection_alone() {
    let fixture = site();
    fixture.proxy.set_fault_once(Fault::DuplicateReply);
    assert_eq!(fixture.read("alice").ok(), "true of alice.");
    fixture.assert_in_order();
    assert_eq!(fixture.proxy.connections(), 2);
}

#[test]
fn an_answer_that_is_not_redis_is_called_that() {
    let fixture = site();
    let http = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    fixture.proxy.set_fault(Fault::GarbageReply(http));
    let visit = fixture.read("alice");
    assert!(visit.body.ends_with("false of nobody."), "{}", visit.body);
    assert!(visit.warning().contains("not the Redis protocol"), "{}", visit.warning());
    fixture.proxy.clear_fault();
    fixture.assert_in_order();
    // The same from the first byte of a new connection.
    fixture.close_all_connections();
    fixture.proxy.set_fault(Fault::GarbageReply(b"220 mail.example.org ESMTP\r\n".to_vec()));
    let visit = fixture.read("alice");
    assert!(visit.warning().contains("not the Redis protocol"), "{}", visit.warning());
}

#[test]
fn a_reply_that_is_longer_than_any_session_is_refused() {
    let fixture = site();
    fixture.proxy.set_fault(Fault::GarbageReply(b"$999999999999\r\n".to_vec()));
    let visit = fixture.read("alice");
    assert!(visit.warning().contains("larger than any session"), "{}", visit.warning());
    fixture.proxy.clear_fault();
    fixture.assert_in_order();
}

/// A server that gives each session the data "of NAME", and more than that
/// when it is told to.
struct Talkative {
    addr: SocketAddr,
    clients: Arc<Mutex<Vec<TcpStream>>>,
}

impl Talkative {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let clients = Arc::new(Mutex::new(Vec::new()));
        let accepted = clients.clone();
        // Both kinds of thread end with the test's process at the latest.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // What it says is there at once, and not after the next question.
                client.set_nodelay(true).unwrap();
                accepted.lock().unwrap().push(client.try_clone().unwrap());
                thread::spawn(move || answer(client));
            }
        });
        Self { addr, clients }
    }

    /// Says to all clients what no one has asked for.
    fn say(&self, text: &str) {
        for mut client in self.clients.lock().unwrap().iter() {
            client.write_all(text.as_bytes()).unwrap();
        }
    }

    fn connections(&self) -> usize {
        self.clients.lock().unwrap().len()
    }
}

fn data_of(name: &str) -> String {
    let data = format!("of|s:{}:\"{name}\";", name.len());
    format!("${}\r\n{data}\r\n", data.len())
}

pub(super) fn answer(mut client: TcpStream) {
    let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        received.extend_from_slice(&buffer[..count]);
        while let Ok((args, size)) = resp::command(&received) {
            received.drain(..size);
            let reply = match args[0].as_slice() {
                b"GET" => {
                    data_of(std::str::from_utf8(&args[1]).unwrap().rsplit(':').next().unwrap())
                }
                b"EXPIRE" => ":1\r\n".to_owned(),
                _ => "+OK\r\n".to_owned(),
            };
            client.write_all(reply.as_bytes()).unwrap();
        }
    }
}

#[test]
fn data_that_nobody_asked_for_reach_no_visitor() {
    let server = Talkative::start();
    let site = Site::start(&php(&format!("tcp://{}", server.addr)));
    assert_eq!(site.visit("alice", READ).ok(), "true of alice.");
    // Enough of it that it is not gone once it has been noticed.
    server.say(&data_of("mallory").repeat(1000));
    assert_eq!(site.visit("bob", READ).ok(), "true of bob.");
    assert_eq!(site.visit("alice", READ).ok(), "true of alice.");
    assert_eq!(server.connections(), 2);
}

#[test]
fn what_follows_an_answer_of_the_wrong_kind_is_never_another_session_s() {
    // Answers the script twice, so that its second answer is taken for that of
    // the GET after it, whose own comes later.
    let server = ScriptedServer::start(|command| match command[0].to_uppercase().as_str() {
        "HELLO" => b"%1\r\n$4\r\nrole\r\n$6\r\nmaster\r\n".to_vec(),
        "EVAL" | "EVALSHA" => b"*1\r\n$2\r\nno\r\n*1\r\n$2\r\nno\r\n".to_vec(),
        "GET" => {
            if command[1].ends_with("ann") {
                thread::sleep(Duration::from_millis(300));
            }
            let data = format!("key|s:{}:\"{}\";", command[1].len(), command[1]);
            format!("${}\r\n{data}\r\n", data.len()).into_bytes()
        }
        _ => b"+OK\r\n".to_vec(),
    });
    let output = php(&format!("tcp://127.0.0.1:{}", server.port()))
        .run(
            "ob_start();
             ini_set('redis.session.locking_enabled', '1');
             session_id('ann'); var_dump(@session_start());
             ini_set('redis.session.locking_enabled', '0');
             session_id('ben'); session_start(['read_and_close' => true]); echo $_SESSION['key'];
             usleep(400000);
             session_id('cleo'); session_start(['read_and_close' => true]); echo $_SESSION['key'];",
        )
        .ok();
    assert_eq!(output, "bool(false)\nPHPREDIS_SESSION:benPHPREDIS_SESSION:cleo");
}
