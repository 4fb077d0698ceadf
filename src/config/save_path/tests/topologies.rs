//! The forms that mean more than a list of servers.

use std::time::Duration;

use super::*;
use crate::config::save_path::{Cluster, Failover, Sentinel};
use crate::config::tls::{TlsOptions, TlsVersion};

fn sentinel(text: &str) -> Sentinel {
    let parsed = SavePath::parse(text).unwrap();
    assert_eq!(parsed.warnings, [""; 0], "{text}");
    match parsed.save_path.topology() {
        Topology::Sentinel(sentinel) => sentinel.clone(),
        other => panic!("{other:?}"),
    }
}

fn cluster(text: &str) -> Cluster {
    let parsed = SavePath::parse(text).unwrap();
    assert_eq!(parsed.warnings, [""; 0], "{text}");
    as_cluster(&parsed)
}

fn as_cluster(parsed: &Parsed) -> Cluster {
    match parsed.save_path.topology() {
        Topology::Cluster(cluster) => cluster.clone(),
        other => panic!("{other:?}"),
    }
}

fn printed(addresses: &[Address]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn refuses(text: &str, offset: usize, reason: &str) {
    let error = error(text);
    assert!(error.reason.contains(reason), "{text}: {error}");
    assert_eq!(error.offset, offset, "{text}: {error}");
}

fn clear(host: &Host) -> Option<(Option<String>, String)> {
    host.auth.clone().map(|auth| (auth.user, auth.password.expose().to_owned()))
}

#[test]
fn sentinels_name_a_service_and_how_to_use_its_servers() {
    let found = sentinel(
        "redis-sentinel://u:p@s1:1,s2,[::1]:3/my-service.1/7?timeout=2&prefix=a,b&\
         sentinel_auth[user]=su&sentinel_auth[pass]=sp",
    );
    let sentinels: Vec<_> = found.sentinels.iter().map(|host| host.address.clone()).collect();
    assert_eq!(printed(&sentinels), ["s1:1", "s2:26379", "[::1]:3"]);
    assert_eq!(found.service, "my-service.1");
    assert_eq!(found.server.address, tcp("s1", 1));
    assert_eq!(found.server.database, 7);
    assert_eq!(found.server.prefix.as_deref(), Some("a,b"));
    assert_eq!(clear(&found.server), both("u", "p"));
    for host in &found.sentinels {
        assert_eq!((host.database, &host.prefix, &host.tls), (0, &None, &None));
        assert_eq!(host.timeout, Duration::from_secs(2));
        assert_eq!(clear(host), both("su", "sp"));
    }
}

#[test]
fn sentinels_want_no_password_unless_told() {
    let found = sentinel("valkey-sentinel://:pw@s1/svc");
    assert_eq!(clear(&found.server), password("pw"));
    assert_eq!(clear(&found.sentinels[0]), None);
}

#[test]
fn sentinel_auth_has_the_four_forms_of_auth() {
    for (query, login) in [
        ("sentinel_auth=p", password("p")),
        ("sentinel_auth[]=p", password("p")),
        ("sentinel_auth[]=u&sentinel_auth[]=p", both("u", "p")),
        ("sentinel_auth[user]=u&sentinel_auth[pass]=p&auth=x", both("u", "p")),
        ("sentinel_auth=&auth=x", None),
    ] {
        let found = sentinel(&format!("redis-sentinel://s1,s2/svc?{query}"));
        assert_eq!(clear(&found.sentinels[1]), login, "{query}");
    }
    refuses(
        "redis-sentinel://s/m?sentinel_auth[x]=p",
        21,
        "write sentinel_auth as one of sentinel_auth=",
    );
}

#[test]
fn tls_is_for_sentinels_and_servers() {
    for scheme in ["rediss-sentinel", "valkeys-sentinel", "REDISS-Sentinel"] {
        let found = sentinel(&format!("{scheme}://s1,s2/svc?stream[peer_name]=n"));
        let tls = TlsOptions { peer_name: Some("n".to_owned()), ..TlsOptions::default() };
        assert_eq!(found.server.tls, Some(tls.clone()));
        assert!(found.sentinels.iter().all(|host| host.tls.as_ref() == Some(&tls)));
    }
}

#[test]
fn a_service_may_be_encoded_and_the_database_may_be_a_parameter() {
    let found = sentinel("redis-sentinel://s/m%79_svc/?database=3");
    assert_eq!((found.service.as_str(), found.server.database), ("my_svc", 3));
    refuses("redis-sentinel://s/svc/2?database=3", 0, "/2 and database=3 differ");
}

#[test]
fn a_service_is_required() {
    for text in ["redis-sentinel://s", "redis-sentinel://s?weight=1", "redis-sentinel://s//1"] {
        assert!(error(text).to_string().contains("redis-sentinel://"), "{text}");
    }
    refuses("redis-sentinel://u:p@s1:1,s2", 28, "/service");
    refuses("redis-sentinel://s/", 18, "/service");
    refuses("redis-sentinel://s/a%20b", 19, "only letters, digits");
    refuses("redis-sentinel://s/svc/x", 22, "only a database number may follow the master name");
    refuses("redis-sentinel://s#a", 18, "/service");
}

#[test]
fn a_cluster_has_seeds_and_one_way_to_connect() {
    let found =
        cluster("rediss-cluster://u:p@h1:7000,h2,[::1]:7002/0?prefix=a,b&timeout=2&database=0");
    assert_eq!(printed(&found.seeds), ["h1:7000", "h2:6379", "[::1]:7002"]);
    assert_eq!(found.node.address, tcp("h1", 7000));
    assert_eq!(found.node.tls, Some(TlsOptions::default()));
    assert_eq!(found.node.prefix.as_deref(), Some("a,b"));
    assert_eq!(found.node.timeout, Duration::from_secs(2));
    assert_eq!(clear(&found.node), both("u", "p"));
    assert_eq!(found.failover, Failover::None);
    for text in ["redis-cluster://h", "valkey-cluster://h/", " 'redis-cluster://h/0' \n"] {
        assert_eq!(cluster(text).node, host("h"), "{text}");
    }
    assert_eq!(cluster("valkeys-cluster://h").node, host("tls://h"));
}

#[test]
fn another_address_is_reached_in_the_same_way() {
    let node = cluster("redis-cluster://u:p@h1?prefix=a").node;
    let other = node.at(tcp("h2", 1));
    assert_eq!(other.address, tcp("h2", 1));
    assert_eq!(other.at(node.address.clone()), node);
}

#[test]
fn failover_is_one_of_three() {
    for (value, failover) in
        [("none", Failover::None), ("error", Failover::Error), ("Distribute", Failover::Distribute)]
    {
        assert_eq!(cluster(&format!("redis-cluster://h?failover={value}")).failover, failover);
        assert_eq!(cluster(&format!("seed[]=h:1&failover={value}")).failover, failover);
    }
    refuses("redis-cluster://h?failover=slaves", 18, "must be none, error or distribute");
}

#[test]
fn a_cluster_has_no_other_database() {
    refuses("redis-cluster://h/1", 17, "only database 0");
    refuses("redis-cluster://h/00", 17, "only database 0");
    refuses("redis-cluster://h/name", 17, "only database 0");
    refuses("redis-cluster://h?prefix=a&database=1", 27, "only database 0");
    refuses("seed[]=h:1&database=1", 11, "only database 0");
}

#[test]
fn a_weight_is_refused_where_sessions_are_not_shared_out() {
    refuses("redis-cluster://h?weight=1", 18, "weight is not supported with Sentinel or Cluster");
    refuses(
        "redis-sentinel://h/m?weight=1",
        21,
        "weight is not supported with Sentinel or Cluster",
    );
    refuses("seed[]=h:1&weight=2", 11, "weight is not supported with Sentinel or Cluster");
}

#[test]
fn a_url_with_several_hosts_stands_alone() {
    for (text, offset) in [
        ("redis-cluster://h1 h2", 18),
        ("redis-cluster://h1,h2\ttcp://h3", 21),
        ("redis-sentinel://s1, s2/svc", 20),
        ("redis-cluster://u:p w@h", 19),
        ("tcp://h1, redis-cluster://h2", 10),
        ("tcp://h1,redis-sentinel://h2/m", 9),
    ] {
        refuses(text, offset, "must be the whole save path");
    }
    refuses("redis-cluster://h1,redis-cluster://h2", 33, "write the scheme only once");
    refuses("redis-cluster://h1,,h2", 19, "missing host");
    refuses("redis-cluster://h1,", 19, "missing host");
    refuses("redis-cluster://${HOST}", 16, "${HOST} was not replaced");
}

#[test]
fn a_password_before_a_list_of_hosts_may_hold_all_but_a_bare_comma() {
    for pass in ["p@ss", "a#b", "a/b", "a?b", "12/3", "a@b/c@d", "1?a"] {
        let found = cluster(&format!("redis-cluster://u:{pass}@h1:7000,h2"));
        assert_eq!(clear(&found.node), both("u", pass));
        let found = sentinel(&format!("redis-sentinel://u:{pass}@s1:7000,s2/svc"));
        assert_eq!(clear(&found.server), both("u", pass));
    }
    assert_eq!(clear(&cluster("redis-cluster://u:a%2Cb@h").node), both("u", "a,b"));
    for text in ["redis-cluster://u:a,b@h1,h2", "redis-cluster://u:p@h1,u:p@h2"] {
        refuses(text, 16, "%2C");
    }
}

#[test]
fn a_typing_error_never_sends_a_password_to_another_host() {
    refuses("redis-sentinel://s1?auth=a@b/svc", 19, "/service");
    refuses("redis-sentinel://s1?sentinel_auth=a@b/svc", 19, "/service");
    refuses("redis-sentinel://s1?foo=a@b/svc", 19, "/service");
    refuses("redis-cluster://h:x?auth=a@b", 17, "port");
}

#[test]
fn the_query_string_of_phpredis_is_a_cluster() {
    let found = cluster(
        "seed[]=h1:7000&seed[]=h2%3A7001&seed%5B%5D=[::1]:7002&seed[3]=::1:7003&seed[a]=h5&\
         timeout=2&read_timeout=3.5&persistent=1&prefix=a b,c&auth[]=u&auth[]=p&failover=error",
    );
    assert_eq!(
        printed(&found.seeds),
        ["h1:7000", "h2:7001", "[::1]:7002", "[::1]:7003", "h5:6379"]
    );
    assert_eq!(found.node.address, tcp("h1", 7000));
    assert_eq!(found.node.timeout, Duration::from_secs(2));
    assert_eq!(found.node.read_timeout, Duration::from_millis(3500));
    assert_eq!(found.node.prefix.as_deref(), Some("a b,c"));
    assert_eq!(clear(&found.node), both("u", "p"));
    assert_eq!((found.node.tls, found.failover), (None, Failover::Error));
}

#[test]
fn seeds_may_stand_anywhere_in_the_query_string() {
    for text in ["timeout=2&seed[]=h:1", "foo=1& seed[]=h:1&timeout=2", "'&timeout=2&seed[0]=h:1' "]
    {
        let found = as_cluster(&SavePath::parse(text).unwrap());
        assert_eq!(found.seeds, [tcp("h", 1)], "{text}");
        assert_eq!(found.node.timeout, Duration::from_secs(2), "{text}");
    }
}

#[test]
fn a_timeout_of_zero_is_the_default_on_a_cluster() {
    assert_eq!(cluster("seed[]=h:1&timeout=0&read_timeout=0").node, host("h:1"));
}

#[test]
fn a_stream_option_or_a_seed_asks_for_tls() {
    assert_eq!(cluster("seed[]=h:1").node.tls, None);
    for text in
        ["seed[]=tls://h:1", "seed[]=ssl://h:1&seed[]=h:2", "stream[SNI_enabled]=1&seed[]=h:1"]
    {
        assert_eq!(cluster(text).node.tls, Some(TlsOptions::default()), "{text}");
    }
    let tls = cluster("stream[verify_peer]=0&seed[]=h:1&stream[cafile]=/ca").node.tls.unwrap();
    assert_eq!((tls.verify_peer, tls.cafile), (false, Some("/ca".into())));
    for text in [
        "seed[]=tlsv1.2://h:1&seed[]=tls://h:2",
        "seed[]=tls://h:1&stream[SNI_enabled]=1&seed[]=tlsv1.2://h:2",
    ] {
        assert_eq!(cluster(text).node.tls.unwrap().version, Some(TlsVersion::Tls12), "{text}");
    }
    refuses("seed[]=tls://h:1&seed[]=tcp://h:2", 17, "tcp:// is not encrypted");
    refuses("seed[]=tcp://h:2&stream[SNI_enabled]=1", 0, "tcp:// is not encrypted");
    refuses("redis-cluster://h?stream[SNI_enabled]=1", 18, "needs tls://");
}

#[test]
fn a_query_string_needs_a_seed() {
    for (text, offset) in [
        ("timeout=2&auth=pw", 0),
        ("seed=h:1", 0),
        ("failover=none", 0),
        ("seed[]=", 0),
        ("timeout=1&seed[]=&seed[]=h:x", 10),
        ("seed[]=u:p@h", 0),
        ("seed[]=unix:///s", 0),
    ] {
        let error = error(text);
        assert!(error.reason.starts_with("No valid seeds detected: "), "{text}: {error}");
        assert_eq!(error.offset, offset, "{text}: {error}");
    }
}

#[test]
fn an_unusable_seed_beside_a_usable_one_is_a_warning() {
    let parsed = SavePath::parse("seed[]=h:0&seed[]=h:1").unwrap();
    assert_eq!(as_cluster(&parsed).seeds, [tcp("h", 1)]);
    let [warning] = parsed.warnings.try_into().unwrap();
    assert!(warning.starts_with("the seed at offset 0 of session.save_path is ignored: the port"));
}

#[test]
fn a_host_is_not_mistaken_for_a_query_string() {
    for (text, name) in [
        ("seed", "seed"),
        ("seed:6379", "seed"),
        ("seed?weight=2", "seed"),
        ("tcp://seed?prefix=seed[]=x", "seed"),
        ("timeout:1?timeout=2&prefix=a", "timeout"),
    ] {
        assert!(host(text).address.to_string().starts_with(name), "{text}");
    }
    let unknown = "unknown parameter 'seed[]' at offset 11 of session.save_path is ignored";
    assert_eq!(warnings("h?weight=2&seed[]=h:1"), [unknown]);
    assert_eq!(host("/run/a=b&seed[]=c").address, Address::Unix("/run/a=b&seed[]=c".into()));
}
