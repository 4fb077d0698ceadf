//! The connections of a process, with locking off: kept, replaced and given
//! up. What one visitor's request could not read, no other's may ever get.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::process::wait_until;
use crate::support::proxy::{Fault, RecordingProxy};
use crate::support::resp;
use crate::support::scripted::ScriptedServer;
use crate::support::servers::{Options, RedisServer};
use crate::support::site::{Site, Visit, php};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{Backlog, listen};
use nix::unistd::Pid;

const READ_TIMEOUT: Duration = Duration::from_millis(400);
/// How much longer than the timeout a request may take on a busy machine.
const SLOWNESS: Duration = Duration::from_millis(1500);

/// Stopped in this order.
struct Fixture {
    site: Site,
    proxy: RecordingProxy,
    server: RedisServer,
}

/// A site behind a proxy, which has stored "data of NAME" for alice and bob.
fn site() -> Fixture {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let timeout = READ_TIMEOUT.as_secs_f64();
    let save_path = format!("tcp://{}?read_timeout={timeout}", proxy.addr());
    let fixture = Fixture { site: Site::start(&php(&save_path)), proxy, server };
    for name in ["alice", "bob"] {
        fixture.site.visit(name, &format!("session_start(); $_SESSION = ['of' => '{name}'];")).ok();
    }
    assert_eq!(fixture.proxy.connections(), 1);
    fixture
}

/// Shows what `session_start()` said and whose data are there.
const READ: &str =
    "echo var_export(session_start(), true), ' of ', $_SESSION['of'] ?? 'nobody', '.';";

impl Fixture {
    fn read(&self, sid: &str) -> Visit {
        self.site.visit(sid, READ)
    }

    /// Both visitors get their own data, without a word.
    #[track_caller]
    fn assert_in_order(&self) {
        for name in ["bob", "alice", "bob"] {
            assert_eq!(self.read(name).ok(), format!("true of {name}."));
        }
    }

    fn close_all_connections(&self) {
        redis::cmd("CLIENT")
            .arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"])
            .exec(&mut self.server.client())
            .unwrap();
        self.site.await_close(self.proxy.port());
    }

    fn stored(&self, sid: &str) -> String {
        let key = format!("PHPREDIS_SESSION:{sid}");
        redis::cmd("GET").arg(key).query(&mut self.server.client()).unwrap()
    }
}

#[test]
fn one_connection_serves_many_visitors() {
    let fixture = site();
    for n in 0..50 {
        fixture.site.visit(&format!("visitor{n}"), "session_start(); $_SESSION['n'] = 1;").ok();
    }
    assert_eq!((fixture.proxy.connections(), fixture.proxy.open_connections()), (1, 1));
}

#[test]
fn a_connection_that_is_not_persistent_ends_with_its_request() {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let site = Site::start(&php(&format!("tcp://{}?persistent=0", proxy.addr())));
    for visits in 1..=3 {
        site.visit("alice", "session_start(); $_SESSION['n'] = 1;").ok();
        wait_until("the connection is closed", || proxy.open_connections() == 0);
        assert_eq!(proxy.connections(), visits);
    }
    // One request, one connection, however many sessions it opens.
    proxy.reset();
    let twice = "session_start(); session_regenerate_id(); session_write_close();";
    site.visit("alice", twice).ok();
    assert!(proxy.connections() <= 2, "{}", proxy.connections());
}

#[test]
fn a_connection_that_the_server_closed_is_replaced_without_a_word() {
    let fixture = site();
    fixture.close_all_connections();
    fixture.assert_in_order();
    assert_eq!(fixture.proxy.connections(), 2);
}

#[test]
fn a_connection_that_dies_between_read_and_write_loses_no_data() {
    let fixture = site();
    let kill = format!(
        "session_start(); $_SESSION['of'] = 'new';
         $s = stream_socket_client('unix://{}');
         fwrite($s, \"CLIENT KILL TYPE normal SKIPME yes\\r\\nQUIT\\r\\n\");
         stream_get_contents($s);
         var_dump(session_write_close());",
        fixture.server.socket().display()
    );
    assert_eq!(fixture.site.visit("alice", &kill).ok(), "bool(true)\n");
    assert_eq!(fixture.stored("alice"), "of|s:3:\"new\";");
}

#[test]
fn a_restarted_server_is_found_again_without_a_word() {
    let mut fixture = site();
    fixture.server.restart();
    fixture.site.await_close(fixture.proxy.port());
    let store = "session_start(); $_SESSION['of'] = 'new'; var_dump(session_write_close());";
    assert_eq!(fixture.site.visit("alice", store).ok(), "bool(true)\n");
    assert_eq!(fixture.stored("alice"), "of|s:3:\"new\";");
}

#[test]
fn a_request_that_is_cut_on_a_kept_connection_is_repeated_on_a_new_one() {
    let fixture = site();
    for fault in [Fault::CutAfterRequestBytes(7), Fault::CutAfterReplyBytes(0)] {
        fixture.proxy.set_fault_once(fault);
        assert_eq!(fixture.read("alice").ok(), "true of alice.");
    }
    fixture.assert_in_order();
}

#[test]
fn a_connection_that_is_cut_again_and_again_is_given_up_with_one_warning() {
    let fixture = site();
    fixture.proxy.set_fault(Fault::CutAfterRequestBytes(7));
    let visit = fixture.read("alice");
    assert!(visit.body.ends_with("false of nobody."), "{}", visit.body);
    let warning = visit.warning();
    assert!(warning.starts_with("session_start(): Redis connection not available: 127.0.0.1:"));
    fixture.proxy.clear_fault();
    fixture.assert_in_order();
}

/// A visit that fails within the read timeout's bounds.
#[track_caller]
fn assert_timed_out(visit: &Visit) {
    assert!(visit.body.ends_with("false of nobody."), "{}", visit.body);
    assert!(visit.warning().contains("no answer within 0.4 s"), "{}", visit.warning());
    assert!(visit.took >= READ_TIMEOUT, "{:?}", visit.took);
    assert!(visit.took < READ_TIMEOUT + SLOWNESS, "{:?}", visit.took);
}

#[test]
fn a_silent_network_costs_one_timeout_and_one_warning() {
    let fixture = site();
    fixture.proxy.set_fault(Fault::Stall);
    assert_timed_out(&fixture.read("alice"));
    fixture.proxy.clear_fault();
    fixture.assert_in_order();
}

#[test]
fn a_server_that_hangs_costs_one_timeout_and_one_warning() {
    let mut fixture = site();
    fixture.server.pause();
    assert_timed_out(&fixture.read("alice"));
    fixture.server.resume();
    fixture.assert_in_order();
}

#[test]
fn a_write_that_times_out_says_so_and_the_next_visitor_is_served() {
    let fixture = site();
    // The script makes this file once it has read, and waits until it is gone.
    let at = fixture.site.fpm.root().join("read");
    let code = format!(
        "session_start(); $_SESSION['of'] = 'new'; touch('{at}');
         while (file_exists('{at}')) {{ clearstatcache(); usleep(1000); }}
         session_write_close();",
        at = at.display()
    );
    let visit = thread::scope(|scope| {
        let visit = scope.spawn(|| fixture.site.visit("alice", &code));
        wait_until("the session is read", || at.exists());
        fixture.proxy.set_fault(Fault::Stall);
        std::fs::remove_file(&at).unwrap();
        visit.join().unwrap()
    });
    let start = "session_write_close(): Error writing session data to Redis: ";
    assert!(visit.warning().starts_with(start), "{}", visit.warning());
    assert!(visit.warning().contains("no answer within 0.4 s"), "{}", visit.warning());
    fixture.proxy.clear_fault();
    assert_eq!(fixture.read("bob").ok(), "true of bob.");
}

#[test]
fn a_reply_that_comes_too_late_reaches_no_other_visitor() {
    let fixture = site();
    fixture.proxy.set_fault_once(Fault::LateReply(READ_TIMEOUT + Duration::from_millis(200)));
    assert_timed_out(&fixture.read("alice"));
    // Alice's data arrive while these run.
    for _ in 0..30 {
        fixture.assert_in_order();
    }
    assert_eq!(fixture.proxy.connections(), 2, "the late one was given up");
}

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

#[test]
fn a_refused_port_fails_at_once_and_names_the_host() {
    let mut server = RedisServer::start(Options::default());
    let addr = server.addr();
    let site = Site::start(&php(&format!("tcp://{addr}")));
    server.kill();
    let visit = site.visit("alice", READ);
    assert!(visit.body.ends_with("false of nobody."), "{}", visit.body);
    let start = format!("session_start(): Redis connection not available: {addr}: ");
    assert!(visit.warning().starts_with(&start), "{}", visit.warning());
    assert!(visit.warning().contains("refused"), "{}", visit.warning());
    assert!(visit.took < Duration::from_secs(1), "{:?}", visit.took);
    // Strict mode gives no new id: that the server is away is not the visitor's fault.
    let strict = "ini_set('session.use_strict_mode', '1'); session_start();";
    site.fpm.script("strict.php", strict);
    let response = site.fpm.get("strict.php", "PHPSESSID=alice").unwrap();
    assert!(response.body.contains("Redis connection not available"), "{response:?}");
    assert_eq!(response.cookie("PHPSESSID"), None);
    server.restart();
    let store = "session_start(); $_SESSION['of'] = 'alice';";
    site.visit("alice", store).ok();
    assert_eq!(site.visit("alice", READ).ok(), "true of alice.");
}

#[test]
fn a_host_that_does_not_answer_costs_the_connect_timeout() {
    // The queue of a listener that accepts nobody is filled up: the kernel then
    // ignores who knocks.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    let knock = || TcpStream::connect_timeout(&addr, Duration::from_millis(100)).ok();
    let queue: Vec<TcpStream> = std::iter::from_fn(knock).collect();
    assert!(!queue.is_empty());
    let site = Site::start(&php(&format!("tcp://{addr}?timeout=0.3")));
    let visit = site.visit("alice", READ);
    assert!(visit.body.ends_with("false of nobody."), "{}", visit.body);
    let text = format!("{addr}: no connection within 0.3 s");
    assert!(visit.warning().contains(&text), "{}", visit.warning());
    assert!(visit.took >= Duration::from_millis(300), "{:?}", visit.took);
    assert!(visit.took < Duration::from_millis(300) + SLOWNESS, "{:?}", visit.took);
}

#[test]
fn a_unix_socket_whose_server_stopped_with_a_full_queue_fails_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("redis.sock");
    let listener = UnixListener::bind(&path).unwrap();
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    // One is accepted and never answered; it would block from the second on.
    let _queue = UnixStream::connect(&path).unwrap();
    let site = Site::start(&php(&format!("unix://{}?timeout=0.3", path.display())));
    let visit = site.visit("alice", READ);
    assert!(visit.body.ends_with("false of nobody."), "{}", visit.body);
    assert!(visit.warning().contains("no connection within 0.3 s"), "{}", visit.warning());
    assert!(visit.took < Duration::from_millis(300) + SLOWNESS, "{:?}", visit.took);
}

#[test]
fn a_connection_that_is_reset_at_once_is_one_warning() {
    let fixture = site();
    fixture.close_all_connections();
    fixture.proxy.set_fault(Fault::ResetOnAccept);
    let visit = fixture.read("alice");
    assert!(visit.body.ends_with("false of nobody."), "{}", visit.body);
    assert!(visit.warning().contains("Redis connection not available"), "{}", visit.warning());
    fixture.proxy.clear_fault();
    fixture.assert_in_order();
}

#[test]
fn a_login_that_is_never_answered_costs_the_connect_timeout() {
    let fixture = site();
    fixture.close_all_connections();
    fixture.proxy.set_fault(Fault::Stall);
    let addr = fixture.proxy.addr();
    let code = format!("ini_set('session.save_path', 'tcp://{addr}?timeout=0.3'); {READ}");
    let visit = fixture.site.visit("alice", &code);
    assert!(visit.body.ends_with("false of nobody."), "{}", visit.body);
    assert!(visit.warning().contains("no answer within 0.3 s"), "{}", visit.warning());
    assert!(visit.took < Duration::from_millis(300) + SLOWNESS, "{:?}", visit.took);
}

#[test]
fn a_signal_does_not_disturb_a_read() {
    let fixture = site();
    fixture.proxy.set_fault(Fault::LateReply(READ_TIMEOUT / 2));
    let save_path = format!("tcp://{}?read_timeout=2", fixture.proxy.addr());
    let running = php(&save_path).spawn(&format!(
        "pcntl_async_signals(true); $seen = 0;
         pcntl_signal(SIGUSR1, function () use (&$seen) {{ $seen++; }});
         echo 'ready ';
         session_id('alice'); ob_start(); {READ} $text = ob_get_clean();
         while (!$seen) usleep(100);
         echo $text;"
    ));
    wait_until("it listens to signals", || running.stdout().contains("ready"));
    // One every 2 ms, all the while that it waits for its answers.
    wait_until("it has read its session", || {
        kill(Pid::from_raw(running.pid()), Signal::SIGUSR1).unwrap();
        running.stdout().ends_with('.')
    });
    assert_eq!(running.stdout(), "ready true of alice.");
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
                // What it says is there at once, and not behind the next question.
                client.set_nodelay(true).unwrap();
                accepted.lock().unwrap().push(client.try_clone().unwrap());
                thread::spawn(move || answer(client));
            }
        });
        Self { addr, clients }
    }

    /// Says to all clients what nobody has asked for.
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

fn answer(mut client: TcpStream) {
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
fn save_paths_that_differ_only_in_prefix_database_or_weight_share_a_connection() {
    let fixture = site();
    let addr = fixture.proxy.addr();
    let visit = |n: usize| {
        let (database, weight) = (n % 5, 1 + n % 3);
        format!(
            "ini_set('session.save_path', 'tcp://{addr}?prefix=p{n}:&database={database}&weight={weight}');
             session_start(); echo $_SESSION['of'] ?? 'new'; $_SESSION['of'] = 'path {n}';"
        )
    };
    for n in 0..30 {
        assert_eq!(fixture.site.visit("alice", &visit(n)).ok(), "new");
    }
    fixture.proxy.reset();
    for n in 0..30 {
        assert_eq!(fixture.site.visit("alice", &visit(n)).ok(), format!("path {n}"));
    }
    // Another database is selected on the way.
    assert_eq!((fixture.proxy.flights(), fixture.proxy.open_connections()), (60, 1));
    let mut client = fixture.server.client();
    for database in 0..5 {
        redis::cmd("SELECT").arg(database).exec(&mut client).unwrap();
        let mut keys: Vec<String> = redis::cmd("KEYS").arg("p*").query(&mut client).unwrap();
        let mut expected: Vec<String> =
            (0..30).filter(|n| n % 5 == database).map(|n| format!("p{n}:alice")).collect();
        keys.sort_unstable();
        expected.sort_unstable();
        assert_eq!(keys, expected, "database {database}");
    }
    assert_eq!(fixture.read("alice").ok(), "true of alice.");
}

#[test]
fn what_is_for_a_database_that_cannot_be_selected_is_done_in_no_other() {
    let fixture = site();
    let addr = fixture.proxy.addr();
    let other = format!(
        "ini_set('session.save_path', 'tcp://{addr}?database=99&prefix=other:'); session_id('x');
         session_start(); $_SESSION['of'] = 'lost'; session_write_close();"
    );
    let visit = fixture.site.visit("alice", &other);
    assert!(visit.body.contains("out of range"), "{}", visit.body);
    fixture.assert_in_order();
    let keys = fixture.server.keys();
    assert!(keys.iter().all(|key| !key.starts_with("other:")), "{keys:?}");
}

#[test]
fn connections_are_kept_to_as_many_servers_as_the_setting_says() {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let php = php("tcp://127.0.0.1:1").ini("redis_session.max_servers", "3");
    let site = Site::start(&php);
    let visit = |login: usize| {
        let code = format!(
            "ini_set('session.save_path', 'tcp://{}?persistent_id={login}'); session_start();",
            proxy.addr()
        );
        site.visit("alice", &code).ok();
    };
    (0..6).for_each(visit);
    wait_until("the others are closed", || proxy.open_connections() == 3);
    let before = proxy.connections();
    (3..6).for_each(visit);
    assert_eq!(proxy.connections(), before, "the last ones are kept");
}

#[test]
fn a_connection_that_is_too_old_is_not_used_for_another_request() {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let site =
        |age: &str| Site::start(&php(&format!("tcp://{}?max_connection_age={age}", proxy.addr())));
    let short = "session_start(); $_SESSION['n'] = 1;";
    // Older than it may be by the time it is written.
    let long = "session_start(); usleep(1100000); $_SESSION['n'] = 2;";
    for (age, connections) in [("1", [1, 1, 1, 2, 2]), ("0", [1, 1, 1, 1, 1])] {
        proxy.reset();
        let before = proxy.connections();
        let site = site(age);
        for (code, count) in [short, short, long, short, short].into_iter().zip(connections) {
            site.visit("alice", code).ok();
            assert_eq!(proxy.connections() - before, count, "{age}");
            assert_eq!(proxy.open_connections(), 1, "{age}");
        }
        drop(site);
        wait_until("the worker is gone", || proxy.open_connections() == 0);
    }
}

#[test]
fn a_process_without_locking_starts_no_thread() {
    let server = RedisServer::start(Options::default());
    let code = "session_id('a'); session_start(); $_SESSION['n'] = 1; session_write_close();
        session_start(); session_write_close(); echo count(glob('/proc/self/task/*'));";
    assert_eq!(php(&format!("tcp://{}", server.addr())).run(code).ok(), "1");
}

#[test]
fn two_databases_of_one_server_are_never_confused() {
    let fixture = site();
    let addr = fixture.proxy.addr();
    let other = format!("ini_set('session.save_path', 'tcp://{addr}?database=5'); ");
    let store = "session_start(); $_SESSION['of'] = 'database 5';";
    fixture.site.visit("alice", &(other.clone() + store)).ok();
    assert_eq!(fixture.read("alice").ok(), "true of alice.");
    assert_eq!(fixture.site.visit("alice", &(other + READ)).ok(), "true of database 5.");
}

#[test]
fn what_follows_an_answer_of_the_wrong_kind_is_never_another_session_s() {
    // Answers the script twice, so that its second answer is taken for that of
    // the GET behind it, whose own comes later.
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
