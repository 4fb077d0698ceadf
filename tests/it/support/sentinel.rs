//! A service watched by real sentinels: that of `tools/servers`, and what tests do to it.
//!
//! Servers have numbers; 0 begins as the primary. Roles change, numbers do not.

pub use ::servers::sentinel::{SERVICE, SentinelOptions};

use super::cluster::{ask, is_primary};
use super::process::poll;
use super::servers::{RedisServer, unwrapped};
use ::servers::certs::Certs;
use ::servers::folder::Folder;
use ::servers::wait::AGREEMENT;
use ::servers::{Server, sentinel};

pub struct Sentinel {
    sentinels: Vec<RedisServer>,
    servers: Vec<RedisServer>,
    options: SentinelOptions,
    certs: Option<(Certs, Folder)>,
}

impl Sentinel {
    /// Returns once the sentinels know each other and all replicas.
    pub fn start(options: SentinelOptions) -> Self {
        let all = unwrapped(sentinel::Sentinel::start(&options));
        let ours = |servers: Vec<Server>| servers.into_iter().map(RedisServer::from).collect();
        let (sentinels, servers) = (ours(all.sentinels), ours(all.servers));
        Self { sentinels, servers, options, certs: all.certs }
    }

    /// Waits until the sentinels that are up know all others and all servers,
    /// agree on the primary, and replicas are in sync.
    #[track_caller]
    pub fn await_ready(&self) {
        unwrapped(sentinel::await_ready(&up(&self.sentinels), &up(&self.servers)));
    }

    /// Those that say so: for a while after a failover, that may be two.
    fn primaries(&self) -> Vec<usize> {
        let all = 0..self.servers.len();
        all.filter(|&n| self.servers[n].is_up() && is_primary(&self.servers[n])).collect()
    }

    /// By number.
    pub fn server(&self, number: usize) -> &RedisServer {
        &self.servers[number]
    }

    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    pub fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    /// Of a service with TLS.
    pub fn certs(&self) -> &Certs {
        &self.certs.as_ref().expect("SentinelOptions::tls is set").0
    }

    /// A save path with all sentinels; `login` is empty or `user:password@`.
    pub fn save_path(&self, login: &str, query: &str) -> String {
        let sentinels: Vec<String> = self
            .sentinels
            .iter()
            .map(|sentinel| match self.options.tls {
                true => format!("127.0.0.1:{}", sentinel.tls_port()),
                false => sentinel.addr(),
            })
            .collect();
        let scheme = if self.options.tls { "rediss-sentinel" } else { "redis-sentinel" };
        format!("{scheme}://{login}{}/{SERVICE}?{query}", sentinels.join(","))
    }

    /// The number of the only server that is up and says it is the primary.
    #[track_caller]
    pub fn primary(&self) -> usize {
        let mut primaries = Vec::new();
        poll(AGREEMENT, || {
            primaries = self.primaries();
            primaries.len() == 1
        });
        assert_eq!(primaries.len(), 1, "there is one primary");
        primaries[0]
    }

    pub fn replicas(&self) -> Vec<usize> {
        let primary = self.primary();
        (0..self.servers.len()).filter(|&n| n != primary && self.servers[n].is_up()).collect()
    }

    /// Kills the primary as `kill -9` does, and returns its number.
    pub fn kill_primary(&mut self) -> usize {
        let primary = self.primary();
        self.servers[primary].kill();
        primary
    }

    pub fn kill(&mut self, number: usize) {
        self.servers[number].kill();
    }

    pub fn kill_sentinel(&mut self, number: usize) {
        self.sentinels[number].kill();
    }

    pub fn freeze(&mut self, number: usize) {
        self.servers[number].pause();
    }

    pub fn thaw(&mut self, number: usize) {
        self.servers[number].resume();
    }

    /// Ends the server as an operator does and starts it again; returns once
    /// the sentinels know it and it is in sync.
    pub fn restart(&mut self, number: usize) {
        if self.servers[number].is_up() {
            self.servers[number].shut_down();
        }
        self.servers[number].restart();
        self.await_ready();
    }

    /// The same with a sentinel.
    pub fn restart_sentinel(&mut self, number: usize) {
        self.sentinels[number].shut_down();
        self.sentinels[number].restart();
        self.await_ready();
    }

    /// `SENTINEL FAILOVER`: returns the numbers of the old and the new primary
    /// once all agree on it.
    pub fn failover(&self) -> (usize, usize) {
        let old = self.primary();
        let _: String = ask(&self.sentinels[0], &["SENTINEL", "FAILOVER", SERVICE]);
        let changed = poll(AGREEMENT, || self.primaries().iter().any(|&number| number != old));
        assert!(changed, "no other server became the primary");
        self.await_ready();
        (old, self.primary())
    }
}

fn up(servers: &[RedisServer]) -> Vec<&Server> {
    servers.iter().filter(|server| server.is_up()).map(RedisServer::inner).collect()
}
