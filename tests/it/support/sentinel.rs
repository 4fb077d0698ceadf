//! A service watched by real sentinels: one primary, replicas, three sentinels.
//!
//! Servers have numbers; 0 begins as the primary. Roles change, numbers do not.

use super::certs::Certs;
use super::cluster::{ask, is_primary};
use super::process::poll;
use super::servers::{ClientCert, Mode, Options, RedisServer};
use std::collections::HashMap;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

const SENTINELS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);
/// What the sentinels call the service.
pub const SERVICE: &str = "sessions";

/// Defaults to two replicas, without password and without TLS.
#[derive(Debug, Clone)]
pub struct SentinelOptions {
    pub replicas: usize,
    /// `down-after-milliseconds`.
    pub down_after: Duration,
    /// Of the servers.
    pub requirepass: Option<String>,
    /// ACL users of the servers, as in redis.conf.
    pub users: Vec<String>,
    /// Of the sentinels.
    pub sentinel_password: Option<String>,
    /// Whether all talk TLS to each other, and to clients beside plain text.
    pub tls: bool,
    /// Whether the sentinels speak the second version of the protocol only, as
    /// they did before Redis 6.
    pub resp2: bool,
}

impl Default for SentinelOptions {
    fn default() -> Self {
        Self {
            replicas: 2,
            down_after: Duration::from_millis(700),
            requirepass: None,
            users: Vec::new(),
            sentinel_password: None,
            tls: false,
            resp2: false,
        }
    }
}

pub struct Sentinel {
    sentinels: Vec<RedisServer>,
    servers: Vec<RedisServer>,
    options: SentinelOptions,
    certs: Option<(Certs, TempDir)>,
}

impl Sentinel {
    /// Returns once the sentinels know each other and all replicas.
    pub fn start(options: SentinelOptions) -> Self {
        let certs = options.tls.then(|| {
            let dir = TempDir::with_prefix("certs-").unwrap();
            (Certs::create(dir.path()), dir)
        });
        let shared = certs.as_ref().map(|(certs, _)| certs.clone());
        let primary = RedisServer::start(server(&options, shared.clone(), None));
        let port = if options.tls { primary.tls_port() } else { primary.port() };
        let replica = server(&options, shared.clone(), Some(port));
        let replicas = start_all(&replica, options.replicas);
        let servers: Vec<_> = [primary].into_iter().chain(replicas).collect();
        let online = || {
            servers.iter().skip(1).all(|replica| {
                let info: String = ask(replica, &["INFO", "replication"]);
                info.contains("master_link_status:up")
            })
        };
        assert!(poll(PATIENCE, online), "a replica is not online:\n{}", servers[1].log());
        let sentinels = start_all(&sentinel(&options, shared, port), SENTINELS);
        let all = Self { sentinels, servers, options, certs };
        all.await_ready();
        all
    }

    /// Waits until the sentinels that are up know all others and all servers,
    /// agree on the primary, and replicas are in sync.
    #[track_caller]
    pub fn await_ready(&self) {
        let states = || {
            let live = self.sentinels.iter().filter(|sentinel| sentinel.is_up());
            live.map(|sentinel| self.state_seen_by(sentinel)).collect::<Vec<_>>()
        };
        let agree = || {
            self.primaries().len() == 1
                && states().iter().all(|state| state.as_deref() == Ok(&*self.port_now()))
        };
        assert!(poll(PATIENCE, agree), "the sentinels do not agree: {:#?}", states());
    }

    /// Those that say so: for a while after a failover, that may be two.
    fn primaries(&self) -> Vec<usize> {
        let all = 0..self.servers.len();
        all.filter(|&n| self.servers[n].is_up() && is_primary(&self.servers[n])).collect()
    }

    fn port_now(&self) -> String {
        let primary = &self.servers[self.primary()];
        if self.options.tls { primary.tls_port() } else { primary.port() }.to_string()
    }

    /// The primary's port, or what is not as it should be.
    fn state_seen_by(&self, sentinel: &RedisServer) -> Result<String, String> {
        type Fields = HashMap<String, String>;
        let primary: Fields = ask(sentinel, &["SENTINEL", "MASTER", SERVICE]);
        let replicas: Vec<Fields> = ask(sentinel, &["SENTINEL", "REPLICAS", SERVICE]);
        let others = (SENTINELS - 1).to_string();
        if primary["flags"] != "master" || primary["num-other-sentinels"] != others {
            return Err(format!("{primary:?}"));
        }
        let up = self.servers.iter().filter(|server| server.is_up()).count();
        let good = replicas
            .iter()
            .filter(|replica| replica["flags"] == "slave" && replica["master-link-status"] == "ok");
        if good.count() + 1 != up {
            return Err(format!("{replicas:?}"));
        }
        Ok(primary["port"].clone())
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
        poll(PATIENCE, || {
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
        let changed = poll(PATIENCE, || self.primaries().iter().any(|&number| number != old));
        assert!(changed, "no other server became the primary");
        self.await_ready();
        (old, self.primary())
    }
}

fn start_all(options: &Options, count: usize) -> Vec<RedisServer> {
    let start = || RedisServer::start(options.clone());
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn server(options: &SentinelOptions, certs: Option<Certs>, primary: Option<u16>) -> Options {
    let mut config =
        vec!["repl-diskless-sync-delay 0".to_owned(), "repl-ping-replica-period 1".to_owned()];
    config.extend(options.requirepass.as_ref().map(|password| format!("masterauth {password}")));
    config.extend(options.tls.then(|| "tls-replication yes".to_owned()));
    config.extend(primary.map(|port| format!("replicaof 127.0.0.1 {port}")));
    Options {
        requirepass: options.requirepass.clone(),
        users: options.users.clone(),
        tls: options.tls.then_some(ClientCert::Optional),
        certs,
        mode: Mode::Server,
        config,
    }
}

fn sentinel(options: &SentinelOptions, certs: Option<Certs>, primary: u16) -> Options {
    let mut config = vec![
        format!("sentinel monitor {SERVICE} 127.0.0.1 {primary} 2"),
        format!("sentinel down-after-milliseconds {SERVICE} {}", options.down_after.as_millis()),
        format!("sentinel failover-timeout {SERVICE} 3000"),
    ];
    let password = options.requirepass.as_ref();
    config.extend(password.map(|password| format!("sentinel auth-pass {SERVICE} {password}")));
    config.extend(options.resp2.then(|| "rename-command HELLO \"\"".to_owned()));
    let password = options.sentinel_password.as_ref();
    config.extend(password.map(|password| format!("sentinel sentinel-pass {password}")));
    config.extend(options.tls.then(|| "tls-replication yes".to_owned()));
    Options {
        requirepass: options.sentinel_password.clone(),
        users: Vec::new(),
        tls: options.tls.then_some(ClientCert::Optional),
        certs,
        mode: Mode::Sentinel,
        config,
    }
}
