//! The program as its callers see it: it starts what was asked for, says how to reach it, and
//! leaves nothing.

// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use servers::folder::Folder;
use servers::process::{alive, children_of};
use servers::resp::Client;
use servers::topology::TOPOLOGIES;
use servers::wait::poll;
use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_servers"))
}

/// The program while it keeps servers. Asked to end, if a test stops early.
struct Kept {
    child: Child,
    told: HashMap<String, String>,
}

impl Kept {
    fn start(words: &[&str]) -> Self {
        let mut child =
            program().args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        let pairs = text.lines().map(|line| line.split_once('=').expect("KEY=value"));
        let told = pairs.map(|(name, value)| (name.into(), value.into())).collect();
        Self { child, told }
    }

    fn list(&self, name: &str) -> Vec<String> {
        let value = self.told.get(name).map_or("", String::as_str);
        value.split_whitespace().map(str::to_owned).collect()
    }

    fn numbers(&self, name: &str) -> Vec<u16> {
        self.list(name).iter().map(|word| word.parse().unwrap()).collect()
    }

    fn pids(&self) -> Vec<i32> {
        let words = [self.list("SERVERS_PIDS"), self.list("SERVERS_SENTINEL_PIDS")].concat();
        words.iter().map(|word| word.parse().unwrap()).collect()
    }

    fn folder(&self) -> PathBuf {
        PathBuf::from(&self.told["SERVERS_FOLDER"])
    }

    fn keeper(&self) -> Pid {
        let children = children_of(self.child.id().cast_signed());
        assert_eq!(children.len(), 1, "one process keeps the servers");
        Pid::from_raw(children[0])
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// The exit code, once it has ended; nothing where a signal ended it.
    fn code(&mut self) -> Option<i32> {
        assert!(poll(PATIENCE, || self.child.try_wait().unwrap().is_some()), "it does not end");
        self.child.wait().unwrap().code()
    }

    /// Ends it as callers do.
    fn end(&mut self) -> Option<i32> {
        drop(self.child.stdin.take());
        self.code()
    }

    fn is_anything_left(&self) -> bool {
        self.folder().exists() || self.pids().into_iter().any(alive)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn ask(socket: &str, password: Option<&str>, command: &[&str]) -> String {
    let mut client = Client::connect(Path::new(socket), password).unwrap();
    client.ask(command).unwrap().text().to_owned()
}

/// The first bytes of the answer to PING on a port, through TLS if there is an authority.
fn ping(port: u16, authority: Option<&str>) -> String {
    let mut bytes = [0; 5];
    let Some(authority) = authority else {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"PING\r\n").unwrap();
        stream.read_exact(&mut bytes).unwrap();
        return String::from_utf8_lossy(&bytes).into_owned();
    };
    let mut child = Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_return_error", "-verify_hostname", "localhost"])
        .args(["-CAfile", authority, "-connect", &format!("127.0.0.1:{port}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"PING\r\nQUIT\r\n").unwrap();
    child.stdout.take().unwrap().read_exact(&mut bytes).unwrap();
    let _ = child.kill();
    let _ = child.wait();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Each topology, with a user where there is TLS: what it says works, and is gone at its end.
#[test]
fn what_is_told_of_each_topology_works_until_the_input_ends_and_nothing_is_left() {
    for (topology, kind) in TOPOLOGIES {
        let login = ["--user", "alice", "--password", "s&cret"];
        let login = if kind.has_tls() { &login[..] } else { &[] };
        let mut kept = Kept::start(&[&["--topology", topology], login].concat());
        let save_path = kept.told["SERVERS_SAVE_PATH"].clone();
        let authority = kept.told.get("SERVERS_CA").map(String::as_str);
        assert_eq!(authority.is_some(), kind.has_tls(), "{topology}");
        assert_eq!(
            save_path.contains("auth[]=alice&auth[]=s%26cret"),
            kind.has_tls(),
            "{save_path}"
        );
        let answer = if kind.has_tls() { "-NOAU" } else { "+PONG" };
        let named = match topology.contains("sentinel") {
            true => "SERVERS_SENTINEL_PORTS",
            false => "SERVERS_PORTS",
        };
        if topology != "unix" {
            for port in kept.numbers("SERVERS_PORTS").into_iter().chain(kept.numbers(named)) {
                assert_eq!(ping(port, authority), answer, "{topology}, port {port}");
            }
            // A save path names at most three nodes.
            for port in kept.numbers(named).into_iter().take(3) {
                assert!(save_path.contains(&port.to_string()), "{save_path}");
            }
        }
        for socket in kept.list("SERVERS_SOCKETS") {
            let password = kind.has_tls().then_some("only default");
            assert_eq!(ask(&socket, password, &["PING"]), "PONG", "{topology}");
            if topology.contains("cluster") {
                let info = ask(&socket, password, &["CLUSTER", "INFO"]);
                assert!(info.contains("cluster_state:ok"), "{info}");
                assert!(info.contains("cluster_known_nodes:6"), "{info}");
            }
        }
        assert!(kept.pids().into_iter().all(alive));
        assert_eq!(kept.end(), Some(0), "{topology}");
        assert!(!kept.is_anything_left(), "{topology}");
    }
}

#[test]
fn a_cluster_of_one_node_tells_clients_its_address() {
    let kept = Kept::start(&["--topology", "cluster", "--primaries", "1", "--replicas", "0"]);
    let nodes = ask(&kept.list("SERVERS_SOCKETS")[0], None, &["CLUSTER", "NODES"]);
    let address = format!(" 127.0.0.1:{}@", kept.numbers("SERVERS_PORTS")[0]);
    assert!(nodes.contains(&address), "{nodes}");
}

#[test]
fn after_kill_9_of_the_program_its_servers_end_and_its_folder_goes() {
    let mut kept = Kept::start(&["--topology", "weights"]);
    kept.signal(Signal::SIGKILL);
    assert_eq!(kept.code(), None);
    assert!(poll(PATIENCE, || !kept.is_anything_left()), "{:?}", kept.told);
}

#[test]
fn after_kill_9_of_the_process_that_keeps_the_servers_nothing_is_left_and_the_code_says_so() {
    let mut kept = Kept::start(&["--topology", "weights"]);
    kill(kept.keeper(), Signal::SIGKILL).unwrap();
    assert_eq!(kept.code(), Some(1));
    assert!(poll(PATIENCE, || !kept.is_anything_left()), "{:?}", kept.told);
}

#[test]
fn signals_end_it_once_all_is_gone() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        let mut kept = Kept::start(&["--topology", "tcp"]);
        kept.signal(signal);
        assert_eq!(kept.code(), Some(code));
        assert!(!kept.is_anything_left());
    }
}

/// A program in place of redis-server, and the folder that it is in.
fn fake_server(script: &str) -> (Folder, PathBuf) {
    let folder = Folder::new(None, "fake-server").unwrap();
    let file = folder.path().join("redis-server");
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, file)
}

#[test]
fn an_input_that_ends_before_the_servers_work_ends_the_start() {
    let (folder, file) = fake_server("exec sleep 60");
    let start = Instant::now();
    let output = program()
        .args(["--topology", "tcp"])
        .env("REDIS_SERVER", file)
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("keep it open"), "{}", stderr(&output));
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "only the fake server is there");
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn run(words: &[&str], environment: &[(&str, &Path)]) -> Output {
    program().args(words).envs(environment.iter().copied()).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_command_gets_the_environment_and_its_exit_code_is_passed_on() {
    let script = r#"echo "$SERVERS_SAVE_PATH $SERVERS_FOLDER"; exit 7"#;
    let output = run(&["--topology", "tcp", "--database", "2", "--", "sh", "-c", script], &[]);
    assert_eq!(output.status.code(), Some(7));
    let printed = String::from_utf8(output.stdout).unwrap();
    let (save_path, folder) = printed.trim().split_once(' ').unwrap();
    assert!(save_path.starts_with("tcp://127.0.0.1:"), "{save_path}");
    assert!(save_path.ends_with("?database=2"), "{save_path}");
    assert!(!Path::new(folder).exists());
    let output = run(&["--topology", "tcp", "--", "no-such-program"], &[]);
    assert_eq!(output.status.code(), Some(127));
    assert!(stderr(&output).contains("no-such-program"), "{}", stderr(&output));
}

#[test]
fn a_signal_reaches_the_command_whose_end_is_waited_for() {
    let script = "trap 'echo told; exit 3' TERM; echo started
        for i in $(seq 1000); do sleep 0.01; done";
    let mut child = program()
        .args(["--topology", "tcp", "--", "sh", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut started = [0; 8];
    stdout.read_exact(&mut started).unwrap();
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    let mut printed = String::new();
    stdout.read_to_string(&mut printed).unwrap();
    assert_eq!(printed, "told\n");
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn a_port_that_is_taken_is_named_and_one_s_own_server_is_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let output = run(&["--topology", "tcp", "--port", &port, "--", "true"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains(&format!("on port {port}")), "{message}");
    assert!(message.contains("Address already in use"), "{message}");
    assert!(message.contains("choose another port"), "{message}");
}

#[test]
fn where_a_free_port_was_taken_meanwhile_others_are_tried() {
    let server = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
    let (folder, file) = fake_server(&format!(
        r#"here=$(dirname "$0"); echo x >>"$here/starts"
        if [ "$(wc -l <"$here/starts")" -lt 3 ]; then echo "bind: Address already in use"; exit 1; fi
        exec {server} "$@""#
    ));
    let output = run(&["--topology", "tcp", "--", "true"], &[("REDIS_SERVER", &file)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(folder.path().join("starts")).unwrap().lines().count(), 3);
}

#[test]
fn a_server_that_does_not_start_shows_its_log_and_is_not_tried_again() {
    let (folder, file) =
        fake_server(r#"echo x >>"$(dirname "$0")/starts"; echo no memory; exit 9"#);
    let output = run(&["--topology", "tcp", "--", "true"], &[("REDIS_SERVER", &file)]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("no memory") && message.contains("exit status: 9"), "{message}");
    assert_eq!(fs::read_to_string(folder.path().join("starts")).unwrap().lines().count(), 1);
}

#[test]
fn a_program_that_is_missing_is_named_with_what_to_install() {
    let nowhere = Path::new("/nonexistent");
    let output = run(&["--topology", "tcp", "--", "true"], &[("REDIS_SERVER", nowhere)]);
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    assert!(message.contains("/nonexistent not found: install redis-server"), "{message}");
}

/// A PATH that knows one name alone.
#[test]
fn valkey_server_is_taken_where_there_is_no_redis_server() {
    let (folder, file) = fake_server("exit 9");
    let valkey = folder.path().join("valkey-server");
    let words = ["--topology", "tcp", "--", "/bin/true"];
    let clean = |path: &Path| {
        let mut command = program();
        command.args(words).env_remove("REDIS_SERVER").env("PATH", path).stdin(Stdio::null());
        stderr(&command.output().unwrap())
    };
    fs::rename(&file, &valkey).unwrap();
    assert!(clean(folder.path()).contains("valkey-server on port"));
    symlink(&valkey, &file).unwrap();
    assert!(clean(folder.path()).contains("redis-server on port"));
}

#[test]
fn it_tells_a_port_that_is_free() {
    for option in ["--free-port", "--closed-port"] {
        let output = run(&[option], &[]);
        assert!(output.status.success());
        let port: u16 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}

#[test]
fn wrong_usage_and_help_start_nothing() {
    let output = run(&["--topology", "ring"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("see --help"));
    let output = run(&["--help"], &[]);
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(TOPOLOGIES.iter().all(|(name, _)| help.contains(name)), "{help}");
}
