//! One server, in a directory of its own, without persistence.
//!
//! `REDIS_SERVER` names its program; otherwise it is the `redis-server` or `valkey-server` of PATH.

use crate::certs::Certs;
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::port;
use crate::process::Process;
use crate::resp::{Client, Value};
use crate::wait::poll;
use nix::sys::signal::Signal;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// How often other ports are tried when other programs took the first ones.
const PORT_ATTEMPTS: u32 = 10;
/// How long a server may take to start, or to end when asked to.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of a log a message shows.
const LOG_LINES: usize = 8;

/// Defaults to a server without password and without TLS, on a free port.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The default user's password.
    pub requirepass: Option<String>,
    /// ACL users, as in redis.conf: `alice on >secret ~* &* +@all`.
    pub users: Vec<String>,
    /// Listen for TLS on a second port as well.
    pub tls: Option<ClientCert>,
    /// Certificates that several servers share. Defaults to own ones.
    pub certs: Option<Certs>,
    /// Whether there is no port for plain text: TLS or the unix socket only.
    pub no_plain: bool,
    /// The port for plain text. Defaults to a free one.
    pub port: Option<u16>,
    /// The port for TLS. Defaults to a free one.
    pub tls_port: Option<u16>,
    /// Defaults to a server on its own.
    pub mode: Mode,
    /// More lines for redis.conf; they come last, so they win.
    pub config: Vec<String>,
    /// Where its folder is made. Defaults to `TMPDIR`, or `/tmp`.
    pub parent: Option<PathBuf>,
}

/// What a server is started as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// On its own, a primary or a replica.
    #[default]
    Server,
    /// A node of a cluster, not yet in one; its bus has a port of its own.
    ClusterNode,
    /// A sentinel; what it watches is in `config`.
    Sentinel,
}

/// What a server with TLS wants to see of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCert {
    /// It does not ask for a certificate.
    No,
    /// A client may show one; it must be right then.
    Optional,
    /// A client must show one.
    Required,
}

/// A running server; killed on Drop.
#[derive(Debug)]
pub struct Server {
    process: Process,
    options: Options,
    ports: Ports,
    certs: Option<Certs>,
    up: bool,
    folder: Folder,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    plain: u16,
    tls: u16,
    bus: u16,
}

impl Server {
    /// Returns once the server answers.
    pub fn start(options: Options) -> Result<Self> {
        let folder = Folder::new(options.parent.as_deref(), "redis")?;
        let dir = folder.path();
        let certs = match (options.tls, &options.certs) {
            (None, _) => None,
            (Some(_), Some(shared)) => Some(shared.clone()),
            (Some(_), None) => Some(Certs::make(dir)?),
        };
        let is_free = options.port.is_none() && options.tls_port.is_none();
        let mut attempts = 1;
        loop {
            let or_free = |wanted: Option<u16>| wanted.map_or_else(port::free, Ok);
            let (plain, tls) = (or_free(options.port)?, or_free(options.tls_port)?);
            let ports = Ports { plain, tls, bus: port::free()? };
            let config = config(&options, dir, ports, certs.as_ref());
            let file = dir.join("redis.conf");
            fs::write(&file, config).map_err(|error| unwritable(&file, error))?;
            match launch(dir, &options, ports) {
                Err(Error::PortTaken(_)) if is_free && attempts < PORT_ATTEMPTS => attempts += 1,
                started => {
                    let process = started?;
                    return Ok(Self { process, options, ports, certs, up: true, folder });
                }
            }
        }
    }

    /// Starts as many of a kind, at the same time: a server takes a while to start.
    pub fn start_many(options: &Options, count: usize) -> Result<Vec<Self>> {
        let start = || Self::start(options.clone());
        let gone = || Err(Error::Failed("a thread that starts a server has panicked".into()));
        thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| gone())).collect()
        })
    }

    /// The port for plain text.
    pub fn port(&self) -> u16 {
        self.ports.plain
    }

    /// The port for TLS, if it has TLS.
    pub fn tls_port(&self) -> Option<u16> {
        self.options.tls.map(|_| self.ports.tls)
    }

    /// The port that clients and other servers use: that for TLS, if it has TLS.
    pub fn service_port(&self) -> u16 {
        self.tls_port().unwrap_or(self.ports.plain)
    }

    /// The port of a cluster node's bus.
    pub fn bus_port(&self) -> u16 {
        self.ports.bus
    }

    /// The unix socket that every server here has.
    pub fn socket(&self) -> PathBuf {
        socket(self.folder.path())
    }

    /// Of a server with TLS.
    pub fn certs(&self) -> Option<&Certs> {
        self.certs.as_ref()
    }

    /// What it was started with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The process' number; another one after a restart.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Asks as the default user, over the server's own socket.
    pub fn ask(&self, command: &[&str]) -> Result<Value> {
        let password = self.options.requirepass.as_deref();
        let answer = Client::connect(&self.socket(), password).and_then(|mut c| c.ask(command));
        let what =
            || format!("{} of the server on port {}", command.join(" "), self.service_port());
        match answer {
            Ok(Value::Error(error)) => Err(Error::failed(&what(), error)),
            Ok(value) => Ok(value),
            Err(error) => Err(Error::failed(&what(), error)),
        }
    }

    /// The answer's text, or nothing: for conditions that are asked again.
    pub(crate) fn text(&self, command: &[&str]) -> String {
        self.ask(command).map(|answer| answer.text().to_owned()).unwrap_or_default()
    }

    /// Stops the server's execution: it accepts connections and answers no one.
    /// False if it still runs after ten seconds.
    #[must_use]
    pub fn pause(&mut self) -> bool {
        self.up = false;
        self.process.pause()
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&mut self) {
        self.process.resume();
        self.up = true;
    }

    /// Kills the server as `kill -9` does; its port then refuses connections.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        self.up = false;
    }

    /// Asks the server to end, as an operator does; false if it has not after
    /// ten seconds.
    pub fn shut_down(&mut self) -> bool {
        self.process.signal(Signal::SIGTERM);
        self.up = false;
        poll(PATIENCE, || self.process.exited().is_some())
    }

    /// Whether it runs, as far as its owner has to do with that.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Starts again on the same ports, empty, whether or not it was killed before.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        self.process = launch(self.folder.path(), &self.options, self.ports)?;
        self.up = true;
        Ok(())
    }

    /// All that it has logged since it was started last.
    pub fn log(&self) -> String {
        log(self.folder.path())
    }
}

fn config(options: &Options, dir: &Path, ports: Ports, certs: Option<&Certs>) -> String {
    let mut lines = vec![
        "bind 127.0.0.1".into(),
        format!("port {}", if options.no_plain { 0 } else { ports.plain }),
        format!("dir {}", quoted_path(dir)),
        format!("unixsocket {}", quoted_path(&socket(dir))),
        "save \"\"".into(),
        "appendonly no".into(),
    ];
    if let Some(password) = &options.requirepass {
        lines.push(format!("requirepass {}", quoted(password)));
    }
    lines.extend(options.users.iter().map(|user| format!("user {user}")));
    if let (Some(client_cert), Some(certs)) = (options.tls, certs) {
        let auth_clients = match client_cert {
            ClientCert::No => "no",
            ClientCert::Optional => "optional",
            ClientCert::Required => "yes",
        };
        lines.push(format!("tls-port {}", ports.tls));
        lines.push(format!("tls-ca-cert-file {}", quoted_path(&certs.ca)));
        lines.push(format!("tls-cert-file {}", quoted_path(&certs.server)));
        lines.push(format!("tls-key-file {}", quoted_path(&certs.server_key)));
        lines.push(format!("tls-auth-clients {auth_clients}"));
    }
    if options.mode == Mode::ClusterNode {
        lines.push("cluster-enabled yes".into());
        lines.push(format!("cluster-port {}", ports.bus));
    }
    lines.extend(options.config.iter().cloned());
    lines.join("\n") + "\n"
}

/// A word for redis.conf, whatever it holds.
pub(crate) fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', r"\\").replace('"', r#"\""#))
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// The program that is started.
fn program() -> OsString {
    if let Some(named) = env::var_os("REDIS_SERVER").filter(|named| !named.is_empty()) {
        return named;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let names = ["redis-server", "valkey-server"];
    let there = |name: &&str| env::split_paths(&path).any(|dir| dir.join(name).is_file());
    names.into_iter().find(there).unwrap_or("redis-server").into()
}

/// Starts the server and waits for it.
fn launch(dir: &Path, options: &Options, ports: Ports) -> Result<Process> {
    let _ = fs::remove_file(socket(dir)); // left there by a server that was killed
    let file = dir.join("log");
    let output = File::create(&file).map_err(|error| unwritable(&file, error))?;
    let errors = output.try_clone().map_err(|error| unwritable(&file, error))?;
    let program = program();
    let mut command = Command::new(&program);
    command.arg(dir.join("redis.conf"));
    command.args((options.mode == Mode::Sentinel).then_some("--sentinel"));
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    let name = program.to_string_lossy();
    let mut process = Process::spawn(&mut command).map_err(|error| not_run(&name, &error))?;
    // The socket is in our directory, so an answer there is from this server
    // and not from one that took the port. It listens on all or it exits.
    poll(PATIENCE, || process.exited().is_some() || answers(dir));
    let status = process.exited();
    if status.is_none() && answers(dir) {
        return Ok(process);
    }
    let _ = process.kill();
    let log = log(dir);
    let port = match (options.no_plain, options.tls) {
        (false, _) => format!(" on port {}", ports.plain),
        (true, Some(_)) => format!(" on port {}", ports.tls),
        (true, None) => String::new(),
    };
    let how = match status {
        Some(status) => format!("has ended ({status})"),
        None => format!("did not answer within {} s", PATIENCE.as_secs()),
    };
    let text = format!("{name}{port} {how}; the end of its log:\n{}", end_of(&log));
    Err(match log.contains("Address already in use") {
        true => Error::PortTaken(text + "\nchoose another port, or none for a free one"),
        false => Error::Failed(text),
    })
}

fn not_run(program: &str, error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::Missing(format!(
            "{program} not found: install redis-server or valkey-server, or name the program in REDIS_SERVER"
        )),
        _ => Error::failed(&format!("cannot run {program} (see REDIS_SERVER)"), error),
    }
}

fn unwritable(file: &Path, error: io::Error) -> Error {
    Error::failed(&format!("cannot write {}", file.display()), error)
}

fn answers(dir: &Path) -> bool {
    let answer = Client::connect(&socket(dir), None).and_then(|mut client| client.ask(&["PING"]));
    match answer {
        Ok(Value::Error(error)) => error.starts_with("NOAUTH"),
        answer => answer.is_ok(),
    }
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("redis.sock")
}

fn log(dir: &Path) -> String {
    fs::read_to_string(dir.join("log")).unwrap_or_default()
}

fn end_of(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let from = lines.len().saturating_sub(LOG_LINES);
    lines.into_iter().skip(from).map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
