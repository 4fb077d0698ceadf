//! A Redis Cluster: primaries, each with as many replicas as asked for.
//!
//! Nodes have numbers; the first ones begin as primaries. Roles change, numbers do not.

use crate::certs::Certs;
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::resp::Value;
use crate::server::{ClientCert, Mode, Options, Server, quoted};
use crate::wait::{AGREEMENT, poll};
use std::path::PathBuf;
use std::time::Duration;

/// How many hash slots a cluster has.
pub const SLOTS: usize = 16_384;

/// Defaults to three primaries alone, without password and without TLS.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// How many nodes begin as primaries.
    pub primaries: usize,
    /// Of each primary.
    pub replicas: usize,
    /// `cluster-node-timeout`. Defaults to one second.
    pub node_timeout: Option<Duration>,
    /// As in [`Options`], on each node.
    pub requirepass: Option<String>,
    /// As in [`Options`], on each node.
    pub users: Vec<String>,
    /// Whether nodes talk TLS to each other and to clients, beside plain text.
    pub tls: bool,
    /// Whether clients cannot talk plain text.
    pub no_plain: bool,
    /// As in [`Options`], on each node.
    pub config: Vec<String>,
    /// As in [`Options`].
    pub parent: Option<PathBuf>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            primaries: 3,
            replicas: 0,
            node_timeout: None,
            requirepass: None,
            users: Vec::new(),
            tls: false,
            no_plain: false,
            config: Vec::new(),
            parent: None,
        }
    }
}

/// The nodes of a cluster that works.
#[derive(Debug)]
pub struct Cluster {
    /// By number.
    pub nodes: Vec<Server>,
    /// What the nodes call themselves, in the order of their numbers.
    pub ids: Vec<String>,
    /// Of a cluster with TLS, and the folder that they are in.
    pub certs: Option<(Certs, Folder)>,
}

/// Consecutive slots, and the numbers of the nodes that have them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    /// The first slot.
    pub first: usize,
    /// The last slot.
    pub last: usize,
    /// The number of the node that is the primary.
    pub primary: usize,
    /// The numbers of its replicas, in order.
    pub replicas: Vec<usize>,
}

impl Cluster {
    /// Returns once all nodes agree that everything is served and replicated.
    pub fn start(options: &ClusterOptions) -> Result<Self> {
        let certs = shared_certs(options.tls, options.parent.as_deref())?;
        let node = node(options, certs.as_ref().map(|(certs, _)| certs.clone()));
        let nodes = Server::start_many(&node, options.primaries * (1 + options.replicas))?;
        let id = |node: &Server| Ok(node.ask(&["CLUSTER", "MYID"])?.text().to_owned());
        let ids = nodes.iter().map(id).collect::<Result<_>>()?;
        let cluster = Self { nodes, ids, certs };
        cluster.create(options.primaries)?;
        Ok(cluster)
    }

    fn create(&self, primaries: usize) -> Result<()> {
        for (index, node) in self.nodes.iter().enumerate() {
            node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()])?;
        }
        for (index, node) in self.nodes.iter().enumerate().take(primaries) {
            let first = (SLOTS * index / primaries).to_string();
            let last = (SLOTS * (index + 1) / primaries - 1).to_string();
            node.ask(&["CLUSTER", "ADDSLOTSRANGE", &first, &last])?;
        }
        let Some((first, others)) = self.nodes.split_first() else { return Ok(()) };
        for other in others {
            let (port, bus) = (other.service_port().to_string(), other.bus_port().to_string());
            first.ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])?;
        }
        let met = |node: &Server| {
            let nodes = node.text(&["CLUSTER", "NODES"]);
            nodes.lines().count() == self.nodes.len() && !nodes.contains("handshake")
        };
        if !poll(AGREEMENT, || self.nodes.iter().all(met)) {
            return Err(Error::failed("the nodes of the cluster have not met", first.log()));
        }
        let owners = self.ids.iter().take(primaries).cycle();
        for (replica, primary) in self.nodes.iter().skip(primaries).zip(owners) {
            replica.ask(&["CLUSTER", "REPLICATE", primary])?;
        }
        await_ready(&self.nodes.iter().collect::<Vec<_>>(), &self.ids)
    }
}

/// Waits until all these nodes see the same, complete cluster, which consists
/// of them alone, and all replicas are in sync.
pub fn await_ready(nodes: &[&Server], ids: &[String]) -> Result<()> {
    if poll(AGREEMENT, || is_ready(nodes, ids).unwrap_or(false)) {
        return Ok(());
    }
    let seen: Vec<_> = nodes.iter().map(|node| shards_seen_by(node, ids)).collect();
    Err(Error::failed("the cluster is not ready; its nodes see", format!("{seen:#?}")))
}

fn is_ready(nodes: &[&Server], ids: &[String]) -> Result<bool> {
    let Some(first) = nodes.first() else { return Ok(true) };
    let expected = shards_seen_by(first, ids)?;
    let mut primaries: Vec<_> = expected.iter().map(|shard| shard.primary).collect();
    primaries.sort_unstable();
    primaries.dedup();
    let replicas_of = |primary: &usize| {
        let shard = expected.iter().find(|shard| shard.primary == *primary);
        shard.map_or(0, |shard| shard.replicas.len())
    };
    let seen: usize = primaries.iter().map(|primary| 1 + replicas_of(primary)).sum();
    let slots: usize = expected.iter().map(|shard| shard.last + 1 - shard.first).sum();
    Ok(seen == nodes.len()
        && slots == SLOTS
        && nodes.iter().all(|node| {
            let replication = node.text(&["INFO", "replication"]);
            shards_seen_by(node, ids).is_ok_and(|shards| shards == expected)
                && node.text(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
                && !replication.is_empty()
                && !replication.contains("master_link_status:down")
                && !replication.contains("master_sync_in_progress:1")
        }))
}

/// Who serves what, as this node sees it, in the order of the slots.
pub fn shards_seen_by(node: &Server, ids: &[String]) -> Result<Vec<Shard>> {
    let answer = node.ask(&["CLUSTER", "SLOTS"])?;
    let shard = |entry: &Value| {
        let (first, last, nodes) = match entry.parts() {
            [first, last, nodes @ ..] => (first.number()?, last.number()?, nodes),
            _ => return None,
        };
        let number = |node: &Value| {
            let id = node.parts().get(2)?.text();
            ids.iter().position(|known| known == id)
        };
        let numbers: Vec<usize> = nodes.iter().map(number).collect::<Option<_>>()?;
        let (primary, replicas) = numbers.split_first()?;
        let mut replicas = replicas.to_vec();
        replicas.sort_unstable();
        Some(Shard { first, last, primary: *primary, replicas })
    };
    let shards: Option<Vec<Shard>> = answer.parts().iter().map(shard).collect();
    let mut shards = shards.ok_or_else(|| {
        Error::failed("CLUSTER SLOTS names no node of this cluster", format!("{answer:?}"))
    })?;
    shards.sort_unstable();
    Ok(shards)
}

fn node(options: &ClusterOptions, certs: Option<Certs>) -> Options {
    let timeout = options.node_timeout.unwrap_or(Duration::from_secs(1)).as_millis();
    let mut config = vec![
        format!("cluster-node-timeout {timeout}"),
        // A node that has met no other does not know its address, and tells clients none.
        "cluster-announce-ip 127.0.0.1".to_owned(),
        // A replica that has been cut off takes over all the same.
        "cluster-replica-validity-factor 0".to_owned(),
        // Roles change, but no node adopts a replica of another.
        "cluster-allow-replica-migration no".to_owned(),
        "cluster-require-full-coverage no".to_owned(),
        "repl-diskless-sync-delay 0".to_owned(),
        "repl-ping-replica-period 1".to_owned(),
    ];
    config.extend(options.requirepass.as_ref().map(|word| format!("masterauth {}", quoted(word))));
    if options.tls {
        config.extend(["tls-cluster yes", "tls-replication yes"].map(str::to_owned));
    }
    config.extend(options.config.iter().cloned());
    Options {
        requirepass: options.requirepass.clone(),
        users: options.users.clone(),
        tls: options.tls.then_some(ClientCert::Optional),
        certs,
        no_plain: options.no_plain,
        mode: Mode::ClusterNode,
        config,
        parent: options.parent.clone(),
        ..Options::default()
    }
}

/// Certificates that all servers of a service share, and their folder.
pub(crate) fn shared_certs(
    tls: bool,
    parent: Option<&std::path::Path>,
) -> Result<Option<(Certs, Folder)>> {
    if !tls {
        return Ok(None);
    }
    let folder = Folder::new(parent, "certs")?;
    Ok(Some((Certs::make(folder.path())?, folder)))
}
