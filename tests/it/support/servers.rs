//! A real `redis-server` for one test, in its own directory, without persistence.
//!
//! `REDIS_SERVER` names another binary, such as `valkey-server`.

use super::certs::Certs;
use super::process::{Process, poll, server_port, wait_until};
use nix::sys::signal::Signal;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How often another port is tried when somebody else took the first one.
const PORT_ATTEMPTS: u32 = 5;

/// Defaults to a server without password and without TLS.
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
    /// Defaults to a server on its own.
    pub mode: Mode,
    /// More lines for redis.conf; they come last, so they win.
    pub config: Vec<String>,
}

/// What a server is started as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    #[default]
    Server,
    /// A node of a cluster, not yet in one; its bus has a port of its own.
    ClusterNode,
    /// A sentinel; what it watches stands in `config`.
    Sentinel,
}

/// Whether a TLS client must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCert {
    Optional,
    Required,
}

pub struct RedisServer {
    process: Process,
    options: Options,
    ports: Ports,
    certs: Option<Certs>,
    up: bool,
    dir: TempDir,
}

#[derive(Clone, Copy)]
struct Ports {
    plain: u16,
    tls: u16,
    bus: u16,
}

impl RedisServer {
    /// Returns once the server answers; panics with the server's log if it never does.
    pub fn start(options: Options) -> Self {
        let dir = TempDir::with_prefix("redis-").unwrap();
        let own = || Certs::create(dir.path());
        let certs = options.tls.map(|_| options.certs.clone().unwrap_or_else(own));
        let mut log = String::new();
        for _ in 0..PORT_ATTEMPTS {
            let ports = Ports { plain: server_port(), tls: server_port(), bus: server_port() };
            let config = config(&options, dir.path(), ports, certs.as_ref());
            fs::write(dir.path().join("redis.conf"), config).unwrap();
            match launch(dir.path(), options.mode) {
                Ok(process) => {
                    return Self { process, options, ports, certs, up: true, dir };
                }
                Err(reason) => log = reason,
            }
        }
        panic!("redis-server does not start:\n{log}");
    }

    pub fn port(&self) -> u16 {
        self.ports.plain
    }

    /// The port of a cluster node's bus.
    pub fn bus_port(&self) -> u16 {
        self.ports.bus
    }

    /// `127.0.0.1:port`
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    pub fn tls_port(&self) -> u16 {
        self.certs();
        self.ports.tls
    }

    /// The unix socket that every server here has.
    pub fn socket(&self) -> PathBuf {
        socket(self.dir.path())
    }

    pub fn certs(&self) -> &Certs {
        self.certs.as_ref().expect("Options::tls is set")
    }

    /// A connection as the default user, over the unix socket: a proxy or a
    /// test that counts TCP connections does not see it.
    pub fn client(&self) -> redis::Connection {
        self.try_client().unwrap()
    }

    /// The same where the server may be going away.
    pub fn try_client(&self) -> redis::RedisResult<redis::Connection> {
        connect(&self.socket(), self.options.requirepass.as_deref())
    }

    /// All keys, sorted.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut self.client()).unwrap();
        keys.sort_unstable();
        keys
    }

    /// Stops the server's execution: it accepts connections and answers nobody.
    pub fn pause(&mut self) {
        self.process.pause();
        self.up = false;
    }

    pub fn resume(&mut self) {
        self.process.resume();
        self.up = true;
    }

    /// Kills the server as `kill -9` does; its port then refuses connections.
    pub fn kill(&mut self) {
        self.process.kill();
        self.up = false;
    }

    /// Asks the server to end, as an operator does, and waits until it has.
    pub fn shut_down(&mut self) {
        self.process.signal(Signal::SIGTERM);
        self.up = false;
        wait_until("the server has ended", || self.process.exited().is_some());
    }

    /// Whether it runs, as far as this test has to do with that.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Starts again on the same ports, empty, whether or not it was killed before.
    pub fn restart(&mut self) {
        self.kill();
        match launch(self.dir.path(), self.options.mode) {
            Ok(process) => {
                self.process = process;
                self.up = true;
            }
            Err(log) => panic!("redis-server does not start again:\n{log}"),
        }
    }

    pub fn log(&self) -> String {
        log(self.dir.path())
    }
}

fn config(options: &Options, dir: &Path, ports: Ports, certs: Option<&Certs>) -> String {
    let mut lines = vec![
        "bind 127.0.0.1".into(),
        format!("port {}", ports.plain),
        format!("dir {}", dir.display()),
        format!("unixsocket {}", socket(dir).display()),
        "save \"\"".into(),
        "appendonly no".into(),
    ];
    if let Some(password) = &options.requirepass {
        let password = password.replace('\\', r"\\").replace('"', r#"\""#);
        lines.push(format!("requirepass \"{password}\""));
    }
    lines.extend(options.users.iter().map(|user| format!("user {user}")));
    if let (Some(client_cert), Some(certs)) = (options.tls, certs) {
        let auth_clients = match client_cert {
            ClientCert::Optional => "optional",
            ClientCert::Required => "yes",
        };
        lines.push(format!("tls-port {}", ports.tls));
        lines.push(format!("tls-ca-cert-file {}", certs.ca.display()));
        lines.push(format!("tls-cert-file {}", certs.server.display()));
        lines.push(format!("tls-key-file {}", certs.server_key.display()));
        lines.push(format!("tls-auth-clients {auth_clients}"));
    }
    if options.mode == Mode::ClusterNode {
        lines.push("cluster-enabled yes".into());
        lines.push(format!("cluster-port {}", ports.bus));
    }
    lines.extend(options.config.iter().cloned());
    lines.join("\n") + "\n"
}

/// Starts the server and waits for it; the error is its log.
fn launch(dir: &Path, mode: Mode) -> Result<Process, String> {
    let _ = fs::remove_file(socket(dir)); // left behind by a killed server
    let log_file = File::create(dir.join("log")).unwrap();
    let binary = env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
    let mut process = Process::spawn(
        Command::new(binary)
            .arg(dir.join("redis.conf"))
            .args((mode == Mode::Sentinel).then_some("--sentinel"))
            .stdout(log_file.try_clone().unwrap())
            .stderr(log_file),
    );
    // The socket is in our directory, so an answer there is from this server
    // and not from one that took the port. It listens on all or it exits.
    poll(Duration::from_secs(10), || process.exited().is_some() || answers(dir));
    if process.exited().is_none() && answers(dir) {
        Ok(process)
    } else {
        process.kill();
        Err(log(dir))
    }
}

fn answers(dir: &Path) -> bool {
    let Ok(mut connection) = connect(&socket(dir), None) else {
        return false;
    };
    match redis::cmd("PING").query::<String>(&mut connection) {
        Ok(_) => true,
        Err(error) => error.code() == Some("NOAUTH"),
    }
}

fn connect(socket: &Path, password: Option<&str>) -> redis::RedisResult<redis::Connection> {
    let settings = redis::RedisConnectionInfo::default();
    let settings = match password {
        Some(password) => settings.set_password(password),
        None => settings,
    };
    let address = redis::ConnectionAddr::Unix(socket.to_owned());
    let info = redis::IntoConnectionInfo::into_connection_info(address)?;
    redis::Client::open(info.set_redis_settings(settings))?.get_connection()
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("redis.sock")
}

fn log(dir: &Path) -> String {
    fs::read_to_string(dir.join("log")).unwrap_or_default()
}
