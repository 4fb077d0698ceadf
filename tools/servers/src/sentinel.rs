//! A service watched by sentinels: one primary, replicas, three sentinels.
//!
//! Servers have numbers; 0 begins as the primary. Roles change, numbers do not.

use crate::certs::Certs;
use crate::cluster::shared_certs;
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::server::{ClientCert, Mode, Options, Server, quoted};
use crate::wait::{AGREEMENT, poll};
use std::path::PathBuf;
use std::time::Duration;

/// How many sentinels there are.
pub const SENTINELS: usize = 3;
/// What the sentinels call the service.
pub const SERVICE: &str = "sessions";

/// Defaults to two replicas, without password and without TLS.
#[derive(Debug, Clone)]
pub struct SentinelOptions {
    /// How many servers begin as replicas.
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
    /// Whether clients cannot talk plain text.
    pub no_plain: bool,
    /// Whether the sentinels speak the second version of the protocol only, as
    /// they did before Redis 6.
    pub resp2: bool,
    /// More lines for redis.conf, of the servers.
    pub config: Vec<String>,
    /// As in [`Options`].
    pub parent: Option<PathBuf>,
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
            no_plain: false,
            resp2: false,
            config: Vec::new(),
            parent: None,
        }
    }
}

/// The servers of a service that works.
#[derive(Debug)]
pub struct Sentinel {
    /// Those that watch.
    pub sentinels: Vec<Server>,
    /// Those that are watched, by number.
    pub servers: Vec<Server>,
    /// Of a service with TLS, and the folder that they are in.
    pub certs: Option<(Certs, Folder)>,
}

impl Sentinel {
    /// Returns once the sentinels know each other and all replicas.
    pub fn start(options: &SentinelOptions) -> Result<Self> {
        let certs = shared_certs(options.tls, options.parent.as_deref())?;
        let shared = certs.as_ref().map(|(certs, _)| certs.clone());
        let primary = Server::start(server(options, shared.clone(), None))?;
        let port = primary.service_port();
        let replica = server(options, shared.clone(), Some(port));
        let replicas = Server::start_many(&replica, options.replicas)?;
        let in_sync = |replica: &Server| {
            replica.text(&["INFO", "replication"]).contains("master_link_status:up")
        };
        if !poll(AGREEMENT, || replicas.iter().all(in_sync)) {
            return Err(Error::failed(
                "a replica is not in sync; its primary's log",
                primary.log(),
            ));
        }
        let servers: Vec<_> = [primary].into_iter().chain(replicas).collect();
        let sentinels = Server::start_many(&sentinel(options, shared, port), SENTINELS)?;
        let all = Self { sentinels, servers, certs };
        let (sentinels, servers): (Vec<_>, Vec<_>) =
            (all.sentinels.iter().collect(), all.servers.iter().collect());
        await_ready(&sentinels, &servers)?;
        Ok(all)
    }
}

/// Waits until these sentinels, of all that there are, know the others and
/// these servers, agree on the primary, and replicas are in sync.
pub fn await_ready(sentinels: &[&Server], servers: &[&Server]) -> Result<()> {
    let states = || sentinels.iter().map(|sentinel| seen_by(sentinel, servers.len()));
    let agree = || match primaries(servers).as_slice() {
        [primary] => {
            let port = primary.service_port().to_string();
            states().all(|state| state.as_ref() == Ok(&port))
        }
        _ => false,
    };
    if poll(AGREEMENT, agree) {
        return Ok(());
    }
    let states = format!("{:#?}", states().collect::<Vec<_>>());
    Err(Error::failed("the sentinels do not agree", states))
}

/// Those that say so: for a while after a failover, that may be two.
fn primaries<'a>(servers: &[&'a Server]) -> Vec<&'a Server> {
    servers.iter().copied().filter(|server| is_primary(server)).collect()
}

/// Whether it says so itself. One that breaks off is just changing its role.
pub fn is_primary(server: &Server) -> bool {
    server.text(&["INFO", "replication"]).contains("role:master")
}

/// The primary's port, or what is not as it should be.
fn seen_by(sentinel: &Server, up: usize) -> Result<String> {
    let primary = sentinel.ask(&["SENTINEL", "MASTER", SERVICE])?;
    let fields = primary.fields();
    let others = (SENTINELS - 1).to_string();
    let field = |name: &str| fields.get(name).copied();
    if field("flags") != Some("master") || field("num-other-sentinels") != Some(&others) {
        return Err(Error::Failed(format!("{fields:?}")));
    }
    let replicas = sentinel.ask(&["SENTINEL", "REPLICAS", SERVICE])?;
    let in_sync = replicas.parts().iter().filter(|replica| {
        let fields = replica.fields();
        fields.get("flags") == Some(&"slave") && fields.get("master-link-status") == Some(&"ok")
    });
    if in_sync.count() + 1 != up {
        return Err(Error::Failed(format!("{replicas:?}")));
    }
    Ok(field("port").unwrap_or_default().to_owned())
}

fn server(options: &SentinelOptions, certs: Option<Certs>, primary: Option<u16>) -> Options {
    let mut config =
        vec!["repl-diskless-sync-delay 0".to_owned(), "repl-ping-replica-period 1".to_owned()];
    config.extend(options.requirepass.as_ref().map(|word| format!("masterauth {}", quoted(word))));
    config.extend(options.tls.then(|| "tls-replication yes".to_owned()));
    config.extend(primary.map(|port| format!("replicaof 127.0.0.1 {port}")));
    config.extend(options.config.iter().cloned());
    Options {
        requirepass: options.requirepass.clone(),
        users: options.users.clone(),
        tls: options.tls.then_some(ClientCert::Optional),
        certs,
        no_plain: options.no_plain,
        mode: Mode::Server,
        config,
        parent: options.parent.clone(),
        ..Options::default()
    }
}

fn sentinel(options: &SentinelOptions, certs: Option<Certs>, primary: u16) -> Options {
    let mut config = vec![
        format!("sentinel monitor {SERVICE} 127.0.0.1 {primary} 2"),
        format!("sentinel down-after-milliseconds {SERVICE} {}", options.down_after.as_millis()),
        format!("sentinel failover-timeout {SERVICE} 3000"),
    ];
    let password = options.requirepass.as_ref();
    config.extend(password.map(|word| format!("sentinel auth-pass {SERVICE} {}", quoted(word))));
    config.extend(options.resp2.then(|| "rename-command HELLO \"\"".to_owned()));
    let password = options.sentinel_password.as_ref();
    config.extend(password.map(|word| format!("sentinel sentinel-pass {}", quoted(word))));
    config.extend(options.tls.then(|| "tls-replication yes".to_owned()));
    Options {
        requirepass: options.sentinel_password.clone(),
        users: Vec::new(),
        tls: options.tls.then_some(ClientCert::Optional),
        certs,
        no_plain: options.no_plain,
        mode: Mode::Sentinel,
        config,
        parent: options.parent.clone(),
        ..Options::default()
    }
}
