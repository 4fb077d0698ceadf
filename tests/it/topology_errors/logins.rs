//! TLS and a user of the servers' own, in each topology.

use super::{COUNT, READ, php};
use crate::support::cluster::{Cluster, ClusterOptions};
use crate::support::php::Php;
use crate::support::sentinel::{Sentinel, SentinelOptions};
use crate::support::site::Site;
use servers::certs::Certs;

/// TLS and a user of the servers' own: write, read, lock.
#[test]
fn tls_and_a_user_work_in_a_cluster_and_with_sentinel() {
    let users = vec!["sessions on >p@ss~w ~* &* +@all".to_owned()];
    let options = ClusterOptions {
        replicas: 1,
        tls: true,
        requirepass: Some("only-default".into()),
        users: users.clone(),
        ..Default::default()
    };
    let cluster = Cluster::start(options);
    let login = "auth[]=sessions&auth[]=p%40ss~w";
    let cafile = |certs: &Certs| format!("stream[cafile]={}", certs.ca.display());
    let query = format!("{login}&{}", cafile(cluster.certs()));
    let path = cluster.save_path(&[0, 1, 2], &query);
    smoke(&php("rediscluster", &path), &cluster.spread_ids(3));

    let options = SentinelOptions {
        replicas: 1,
        tls: true,
        requirepass: Some("only-default".into()),
        users,
        sentinel_password: Some("watch".into()),
        ..Default::default()
    };
    let service = Sentinel::start(options);
    let query = format!("sentinel_auth=watch&{}", cafile(service.certs()));
    let path = service.save_path("sessions:p%40ss~w@", &query);
    smoke(&php("redis", &path), &["visitor".to_owned()]);
}

#[track_caller]
fn smoke(php: &Php, ids: &[String]) {
    for locking in ["0", "1"] {
        let site = Site::start(&php.clone().ini("redis.session.locking_enabled", locking));
        for id in ids {
            let first: u32 = site.visit(id, COUNT).ok().parse().unwrap();
            assert_eq!(site.visit(id, COUNT).ok(), (first + 1).to_string());
            assert_eq!(site.visit(id, READ).ok(), (first + 1).to_string());
        }
    }
}
