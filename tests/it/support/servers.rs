//! A real Redis server for one test: that of `tools/servers`, with a client and without excuses.

pub use ::servers::server::{ClientCert, Options};

use ::servers::Server;
use ::servers::certs::Certs;
use std::path::{Path, PathBuf};

pub struct RedisServer(Server);

impl RedisServer {
    /// Returns once the server answers; panics with the server's log if it never does.
    pub fn start(options: Options) -> Self {
        Self(unwrapped(Server::start(options)))
    }

    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// The port of a cluster node's bus.
    pub fn bus_port(&self) -> u16 {
        self.0.bus_port()
    }

    /// `127.0.0.1:port`
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    pub fn tls_port(&self) -> u16 {
        self.0.tls_port().expect("Options::tls is set")
    }

    /// The unix socket that every server here has.
    pub fn socket(&self) -> PathBuf {
        self.0.socket()
    }

    pub fn certs(&self) -> &Certs {
        self.0.certs().expect("Options::tls is set")
    }

    /// A connection as the default user, over the unix socket: a proxy or a
    /// test that counts TCP connections does not see it.
    pub fn client(&self) -> redis::Connection {
        self.try_client().unwrap()
    }

    /// The same where the server may be going away.
    pub fn try_client(&self) -> redis::RedisResult<redis::Connection> {
        connect(&self.socket(), self.0.options().requirepass.as_deref())
    }

    /// All keys, sorted.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut self.client()).unwrap();
        keys.sort_unstable();
        keys
    }

    /// Stops the server's execution: it accepts connections and answers no one.
    pub fn pause(&mut self) {
        assert!(self.0.pause(), "the server has not stopped");
    }

    pub fn resume(&mut self) {
        self.0.resume();
    }

    /// Kills the server as `kill -9` does; its port then refuses connections.
    pub fn kill(&mut self) {
        self.0.kill();
    }

    /// Asks the server to end, as an operator does, and waits until it has.
    pub fn shut_down(&mut self) {
        assert!(self.0.shut_down(), "the server has not ended");
    }

    /// Whether it runs, as far as this test has to do with that.
    pub fn is_up(&self) -> bool {
        self.0.is_up()
    }

    /// Starts again on the same ports, empty, whether or not it was killed before.
    pub fn restart(&mut self) {
        unwrapped(self.0.restart());
    }

    pub fn log(&self) -> String {
        self.0.log()
    }

    pub(super) fn inner(&self) -> &Server {
        &self.0
    }
}

impl From<Server> for RedisServer {
    fn from(server: Server) -> Self {
        Self(server)
    }
}

/// The value, or a panic with a text for people.
#[track_caller]
pub(super) fn unwrapped<T>(result: ::servers::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
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
