//! The topologies by name: what is started, and what a session handler needs to know of it.

use crate::certs::Certs;
use crate::cluster::{Cluster, ClusterOptions};
use crate::error::Result;
use crate::folder::Folder;
use crate::sentinel::{SERVICE, Sentinel, SentinelOptions};
use crate::server::{ClientCert, Options, Server, quoted};
use std::path::PathBuf;
use std::time::Duration;

/// The default user's password where another user is asked for.
const DEFAULT_PASSWORD: &str = "only default";
/// The sentinels' password where the servers have one.
const SENTINEL_PASSWORD: &str = "watched";
/// How many nodes of a cluster a save path names.
const SEEDS: usize = 3;

/// Where sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    Tcp,
    /// One server, by its socket.
    Unix,
    /// One server with TLS.
    Tls,
    /// Two servers with weights 1 and 2.
    Weights,
    /// A primary with replicas, watched by three sentinels.
    Sentinel,
    /// A cluster.
    Cluster,
    /// Sentinels and servers with TLS.
    SentinelTls,
    /// A cluster with TLS.
    ClusterTls,
}

/// All topologies, by name.
pub const TOPOLOGIES: [(&str, Topology); 8] = [
    ("tcp", Topology::Tcp),
    ("unix", Topology::Unix),
    ("tls", Topology::Tls),
    ("weights", Topology::Weights),
    ("sentinel", Topology::Sentinel),
    ("cluster", Topology::Cluster),
    ("sentinel-tls", Topology::SentinelTls),
    ("cluster-tls", Topology::ClusterTls),
];

impl Topology {
    /// The topology of that name.
    pub fn named(name: &str) -> Option<Self> {
        TOPOLOGIES.iter().find(|(known, _)| *known == name).map(|(_, topology)| *topology)
    }

    /// The name that [`Topology::named`] takes.
    pub fn name(self) -> &'static str {
        let found = TOPOLOGIES.iter().find(|(_, topology)| *topology == self);
        found.map_or("", |(name, _)| name)
    }

    /// Whether there is TLS.
    pub fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::SentinelTls | Self::ClusterTls)
    }

    /// Whether it is one server, with one port.
    pub fn is_one_server(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }

    fn is_cluster(self) -> bool {
        matches!(self, Self::Cluster | Self::ClusterTls)
    }
}

/// What is to be started.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The kind.
    pub topology: Topology,
    /// A user beside the default one. It needs a password.
    pub user: Option<String>,
    /// That user's password, or the default user's.
    pub password: Option<String>,
    /// The number of the database that the save path names.
    pub database: Option<u32>,
    /// The port of a topology that is one server. Defaults to a free one.
    pub port: Option<u16>,
    /// How many primaries a cluster has. Defaults to three.
    pub primaries: Option<usize>,
    /// How many replicas a primary has. Defaults to one in a cluster, two
    /// with Sentinel.
    pub replicas: Option<usize>,
    /// Whether servers with TLS have a port for plain text as well.
    pub plain: bool,
    /// More lines for redis.conf.
    pub config: Vec<String>,
    /// Where folders are made. Defaults to `TMPDIR`, or `/tmp`.
    pub parent: Option<PathBuf>,
}

impl Wish {
    /// The topology with nothing else to be said.
    pub fn new(topology: Topology) -> Self {
        Self {
            topology,
            user: None,
            password: None,
            database: None,
            port: None,
            primaries: None,
            replicas: None,
            plain: false,
            config: Vec::new(),
            parent: None,
        }
    }

    fn requirepass(&self) -> Option<String> {
        match self.user {
            Some(_) => Some(DEFAULT_PASSWORD.to_owned()),
            None => self.password.clone(),
        }
    }

    fn users(&self) -> Vec<String> {
        let login = self.user.as_ref().zip(self.password.as_ref());
        let line = |(user, password): (&String, &String)| {
            format!("{user} on {} ~* &* +@all", quoted(&format!(">{password}")))
        };
        login.map(line).into_iter().collect()
    }

    /// The parameters of the save path, whatever its form.
    fn parameters(&self, certs: Option<&Certs>) -> Vec<String> {
        let mut parameters = Vec::new();
        parameters.extend(self.database.map(|number| format!("database={number}")));
        if let (Topology::SentinelTls | Topology::Sentinel, Some(_)) =
            (self.topology, &self.password)
        {
            parameters.push(format!("sentinel_auth={SENTINEL_PASSWORD}"));
        }
        match (&self.user, &self.password) {
            (Some(user), Some(password)) => parameters
                .extend([user, password].map(|word| format!("auth[]={}", percent_encoded(word)))),
            (None, Some(password)) => {
                parameters.push(format!("auth={}", percent_encoded(password)));
            }
            (_, None) => {}
        }
        parameters.extend(certs.map(|certs| format!("stream[cafile]={}", certs.ca.display())));
        parameters
    }

    fn server(&self) -> Options {
        Options {
            requirepass: self.requirepass(),
            users: self.users(),
            tls: self.topology.has_tls().then_some(ClientCert::No),
            no_plain: self.topology == Topology::Unix || (self.topology.has_tls() && !self.plain),
            port: self.port.filter(|_| self.topology == Topology::Tcp),
            tls_port: self.port.filter(|_| self.topology == Topology::Tls),
            config: self.config.clone(),
            parent: self.parent.clone(),
            ..Options::default()
        }
    }

    fn cluster(&self) -> ClusterOptions {
        let server = self.server();
        ClusterOptions {
            primaries: self.primaries.unwrap_or(3),
            replicas: self.replicas.unwrap_or(1),
            node_timeout: Some(Duration::from_millis(1500)),
            requirepass: server.requirepass,
            users: server.users,
            tls: self.topology.has_tls(),
            no_plain: server.no_plain,
            config: server.config,
            parent: server.parent,
        }
    }

    fn sentinel(&self) -> SentinelOptions {
        let server = self.server();
        SentinelOptions {
            replicas: self.replicas.unwrap_or(2),
            down_after: Duration::from_secs(1),
            sentinel_password: self.password.as_ref().map(|_| SENTINEL_PASSWORD.to_owned()),
            requirepass: server.requirepass,
            users: server.users,
            tls: self.topology.has_tls(),
            no_plain: server.no_plain,
            resp2: false,
            config: server.config,
            parent: server.parent,
        }
    }
}

/// Servers that work, until this is dropped.
#[derive(Debug)]
pub struct Running {
    wish: Wish,
    servers: Vec<Server>,
    sentinels: Vec<Server>,
    /// Of several servers; one alone has its own.
    certs: Option<(Certs, Folder)>,
}

impl Running {
    /// Returns once they can be used.
    pub fn start(wish: Wish) -> Result<Self> {
        let (servers, sentinels, certs) = match wish.topology {
            Topology::Tcp | Topology::Unix | Topology::Tls => {
                (vec![Server::start(wish.server())?], Vec::new(), None)
            }
            Topology::Weights => (Server::start_many(&wish.server(), 2)?, Vec::new(), None),
            Topology::Sentinel | Topology::SentinelTls => {
                let all = Sentinel::start(&wish.sentinel())?;
                (all.servers, all.sentinels, all.certs)
            }
            Topology::Cluster | Topology::ClusterTls => {
                let all = Cluster::start(&wish.cluster())?;
                (all.nodes, Vec::new(), all.certs)
            }
        };
        Ok(Self { wish, servers, sentinels, certs })
    }

    fn certs(&self) -> Option<&Certs> {
        match &self.certs {
            Some((certs, _)) => Some(certs),
            None => self.servers.first().and_then(Server::certs),
        }
    }

    /// `session.save_path`.
    pub fn save_path(&self) -> String {
        let parameters = self.wish.parameters(self.certs());
        let with = |address: String, more: &[String]| {
            let all = [more, &parameters].concat().join("&");
            if all.is_empty() { address } else { format!("{address}?{all}") }
        };
        let addresses = |servers: &[Server]| -> Vec<String> {
            servers.iter().map(|server| format!("127.0.0.1:{}", server.service_port())).collect()
        };
        let all = addresses(&self.servers);
        match self.wish.topology {
            Topology::Tcp => with(format!("tcp://{}", all.concat()), &[]),
            Topology::Tls => with(format!("tls://{}", all.concat()), &[]),
            Topology::Unix => {
                let sockets = self.servers.iter().map(super::server::Server::socket);
                let socket: String = sockets.map(|socket| socket.display().to_string()).collect();
                with(format!("unix://{socket}"), &[])
            }
            Topology::Weights => {
                let weighted = all.into_iter().enumerate().map(|(index, address)| {
                    with(format!("tcp://{address}"), &[format!("weight={}", index + 1)])
                });
                weighted.collect::<Vec<_>>().join(", ")
            }
            Topology::Sentinel | Topology::SentinelTls => {
                let scheme = if self.wish.topology.has_tls() { "rediss" } else { "redis" };
                let list = addresses(&self.sentinels).join(",");
                with(format!("{scheme}-sentinel://{list}/{SERVICE}"), &[])
            }
            Topology::Cluster | Topology::ClusterTls => {
                let seeds = all.into_iter().take(SEEDS).map(|seed| format!("seed[]={seed}"));
                seeds.chain(parameters).collect::<Vec<_>>().join("&")
            }
        }
    }

    /// What a caller needs to know, as names of environment variables and their values.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let handler = if self.wish.topology.is_cluster() { "rediscluster" } else { "redis" };
        let mut environment = vec![
            ("SERVERS_TOPOLOGY", self.wish.topology.name().to_owned()),
            ("SERVERS_HANDLER", handler.to_owned()),
            ("SERVERS_SAVE_PATH", self.save_path()),
            ("SERVERS_PORTS", list(&self.servers, Server::service_port)),
            ("SERVERS_PIDS", list(&self.servers, Server::pid)),
            (
                "SERVERS_SOCKETS",
                list(&self.servers, |server| server.socket().display().to_string()),
            ),
        ];
        if self.wish.topology.has_tls() && self.wish.plain {
            environment.push(("SERVERS_PLAIN_PORTS", list(&self.servers, Server::port)));
        }
        if !self.sentinels.is_empty() {
            let ports = list(&self.sentinels, Server::service_port);
            environment.push(("SERVERS_SENTINEL_PORTS", ports));
            environment.push(("SERVERS_SENTINEL_PIDS", list(&self.sentinels, Server::pid)));
        }
        let login = [("SERVERS_USER", &self.wish.user), ("SERVERS_PASSWORD", &self.wish.password)];
        environment
            .extend(login.map(|(name, word)| Some((name, word.clone()?))).into_iter().flatten());
        if let (Some(_), Some(password)) = (&self.wish.user, self.wish.requirepass()) {
            environment.push(("SERVERS_DEFAULT_PASSWORD", password));
        }
        if let Some(certs) = self.certs() {
            let files = [
                ("SERVERS_CA", &certs.ca),
                ("SERVERS_CERT", &certs.server),
                ("SERVERS_KEY", &certs.server_key),
                ("SERVERS_CLIENT_CERT", &certs.client),
                ("SERVERS_CLIENT_KEY", &certs.client_key),
            ];
            environment.extend(files.map(|(name, file)| (name, file.display().to_string())));
        }
        environment
    }
}

/// One of each, with spaces between them.
fn list<T: ToString>(servers: &[Server], what: impl Fn(&Server) -> T) -> String {
    servers.iter().map(|server| what(server).to_string()).collect::<Vec<_>>().join(" ")
}

fn percent_encoded(word: &str) -> String {
    word.bytes().fold(String::new(), |encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded + &char::from(byte).to_string()
        } else {
            encoded + &format!("%{byte:02X}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_written_so_that_it_cannot_end_the_parameter() {
        let mut wish = Wish::new(Topology::Tls);
        wish.user = Some("sessions".into());
        wish.password = Some("p@ss&w=rd".into());
        assert_eq!(wish.parameters(None), ["auth[]=sessions", "auth[]=p%40ss%26w%3Drd"]);
        assert_eq!(wish.users(), [r#"sessions on ">p@ss&w=rd" ~* &* +@all"#]);
        wish.user = None;
        assert_eq!(wish.parameters(None), ["auth=p%40ss%26w%3Drd"]);
    }

    #[test]
    fn every_topology_has_one_name() {
        for (name, topology) in TOPOLOGIES {
            assert_eq!(Topology::named(name), Some(topology));
            assert_eq!(topology.name(), name);
        }
        assert_eq!(Topology::named("none"), None);
    }
}
