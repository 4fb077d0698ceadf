use std::fmt::Write;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use proptest::option;
use proptest::prelude::*;
use url::form_urlencoded::byte_serialize;

use super::*;
use crate::config::auth::{Auth, Secret};
use crate::config::save_path::{Cluster, Failover, Sentinel};
use crate::config::tls::TlsOptions;

/// Text in which the parser finds something to do.
fn save_pathish() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "(redis|rediss|tcp|tls|unix|x|redis-sentinel|redis-cluster)(://|:)",
        r"(weight|timeout|auth|auth\[\]|stream\[cafile\]|prefix|database)=",
        r"(seed\[\]|seed|failover|sentinel_auth)=",
        r#"[\[\]:/?\#@&=%+,. '"$\{\}é\x00]"#,
        "[a-z0-9]{1,3}",
        "%[0-9a-fA-F]{2}",
    ];
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

/// Any text that a value may hold.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z:]{1,8}", r"[^\x00]{0,8}"]
}

fn non_empty() -> impl Strategy<Value = String> {
    text().prop_filter("it says something", |text| !text.is_empty())
}

fn auth() -> impl Strategy<Value = Auth> {
    let with_user = (non_empty().prop_map(Some), text());
    let without = (Just(None), non_empty());
    prop_oneof![with_user, without]
        .prop_map(|(user, password)| Auth { user, password: Secret::new(password) })
}

fn tls() -> impl Strategy<Value = TlsOptions> {
    // Another wrapper of PHP than file:// is refused.
    let plain = || non_empty().prop_filter("it is no URL", |text| !text.contains("://"));
    let path = || option::of(plain().prop_map(PathBuf::from));
    let switches = any::<[bool; 4]>();
    let files = (path(), path(), path(), path());
    (switches, files, option::of(non_empty()), option::of(non_empty())).prop_map(
        |(switches, files, peer_name, passphrase)| TlsOptions {
            version: None,
            verify_peer: switches[0],
            verify_peer_name: switches[1],
            peer_name,
            allow_self_signed: switches[2],
            cafile: files.0,
            capath: files.1,
            local_cert: files.2,
            local_pk: files.3,
            passphrase: passphrase.map(Secret::new),
            sni: switches[3],
        },
    )
}

fn address() -> impl Strategy<Value = Address> {
    let name = prop_oneof![
        r"[a-z][a-z0-9_]{0,8}(\.[a-z]{2,3})?",
        any::<[u8; 4]>().prop_map(|[a, b, c, d]| format!("{a}.{b}.{c}.{d}")),
        any::<Ipv6Addr>().prop_map(|address| address.to_string()),
    ];
    prop_oneof![
        4 => (name, 1..=u16::MAX).prop_map(|(host, port)| Address::Tcp { host, port }),
        1 => "/[a-z][a-z/.#%é]{0,12}".prop_map(|path| Address::Unix(path.into())),
    ]
}

fn any_host() -> impl Strategy<Value = Host> {
    let millis = |from: u64| (from..10_000_000).prop_map(Duration::from_millis);
    let times = (millis(1), millis(1), millis(0), millis(0));
    let texts = (option::of(non_empty()), option::of(text()));
    let numbers = (1..100_000_u32, any::<u32>(), any::<bool>());
    (address(), option::of(tls()), numbers, times, texts, option::of(auth())).prop_map(
        |(address, tls, numbers, times, texts, auth)| Host {
            tls: tls.filter(|_| matches!(address, Address::Tcp { .. })),
            address,
            weight: numbers.0,
            timeout: times.0,
            read_timeout: times.1,
            persistent: numbers.2,
            persistent_id: texts.0,
            retry_interval: times.2,
            max_connection_age: times.3,
            database: numbers.1,
            prefix: texts.1,
            auth,
        },
    )
}

/// A host as it may be on a cluster.
fn node() -> impl Strategy<Value = Host> {
    let whole_host = any_host()
        .prop_filter("it is no socket", |host| matches!(host.address, Address::Tcp { .. }));
    whole_host.prop_map(|host| Host { weight: 1, database: 0, ..host })
}

fn tcp_address() -> impl Strategy<Value = Address> {
    address().prop_filter("it is no socket", |address| matches!(address, Address::Tcp { .. }))
}

fn cluster() -> impl Strategy<Value = Cluster> {
    let failover =
        prop::sample::select(vec![Failover::None, Failover::Error, Failover::Distribute]);
    let others = prop::collection::vec(tcp_address(), 0..3);
    (node(), others, failover).prop_map(|(node, mut seeds, failover)| {
        seeds.insert(0, node.address.clone());
        Cluster { seeds, node, failover }
    })
}

fn sentinel() -> impl Strategy<Value = Sentinel> {
    let others = prop::collection::vec(tcp_address(), 0..3);
    let names = "[A-Za-z0-9_.-]{1,8}";
    (node(), any::<u32>(), others, names, option::of(auth())).prop_map(
        |(node, database, others, service, auth)| {
            let server = Host { database, ..node };
            let first = Host { auth, database: 0, prefix: None, ..server.clone() };
            let mut sentinels = vec![first.clone()];
            sentinels.extend(others.into_iter().map(|address| first.at(address)));
            Sentinel { sentinels, service, server }
        },
    )
}

/// Says where `addresses` are.
fn print_list(addresses: &[Address]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Says everything about `cluster` in a URL.
fn print_cluster(cluster: &Cluster) -> String {
    let scheme = if cluster.node.tls.is_some() { "rediss-cluster" } else { "redis-cluster" };
    let (seeds, parameters) = (print_list(&cluster.seeds), parameters(&cluster.node));
    format!("{scheme}://{seeds}?failover={:?}&{parameters}", cluster.failover)
}

/// Says everything about `cluster` in phpredis' way.
fn print_query(cluster: &Cluster) -> String {
    let seeds: String = cluster.seeds.iter().map(|seed| format!("seed[]={seed}&")).collect();
    format!("{seeds}{}&failover={:?}", parameters(&cluster.node), cluster.failover)
}

fn print_sentinel(sentinel: &Sentinel) -> String {
    let scheme = if sentinel.server.tls.is_some() { "rediss-sentinel" } else { "redis-sentinel" };
    let addresses: Vec<_> = sentinel.sentinels.iter().map(|host| host.address.clone()).collect();
    let login = sentinel.sentinels[0].auth.as_ref().map_or_else(String::new, |auth| {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let user = encoded(auth.user.as_deref().unwrap_or_default());
        format!(
            "&sentinel_auth[user]={user}&sentinel_auth[pass]={}",
            encoded(auth.password.expose())
        )
    });
    let (list, parameters) = (print_list(&addresses), parameters(&sentinel.server));
    format!("{scheme}://{list}/{}?{parameters}{login}", sentinel.service)
}

/// The topology of a text that must parse without a warning.
fn topology(text: &str) -> Result<Topology, TestCaseError> {
    let parsed = SavePath::parse(text).map_err(|error| TestCaseError::fail(error.reason))?;
    prop_assert_eq!(&parsed.warnings, &Vec::<String>::new());
    Ok(parsed.save_path.topology().clone())
}

/// Says everything about a host of a list, secrets too.
fn print(host: &Host) -> String {
    let scheme = match (&host.address, &host.tls) {
        (Address::Unix(_), _) => "",
        (Address::Tcp { .. }, None) => "tcp://",
        (Address::Tcp { .. }, Some(_)) => "tls://",
    };
    format!("{scheme}{}?weight={}&{}", host.address, host.weight, parameters(host))
}

/// Says everything that every form of a host has.
fn parameters(host: &Host) -> String {
    let mut out = format!("timeout={}", host.timeout.as_secs_f64());
    let mut put = |name: &str, value: &str| {
        let value: String = byte_serialize(value.as_bytes()).collect();
        write!(out, "&{name}={value}").unwrap();
    };
    put("read_timeout", &host.read_timeout.as_secs_f64().to_string());
    put("persistent", if host.persistent { "1" } else { "0" });
    put("persistent_id", host.persistent_id.as_deref().unwrap_or_default());
    put("retry_interval", &host.retry_interval.as_millis().to_string());
    put("max_connection_age", &host.max_connection_age.as_secs_f64().to_string());
    put("database", &host.database.to_string());
    if let Some(prefix) = &host.prefix {
        put("prefix", prefix);
    }
    if let Some(auth) = &host.auth {
        put("auth[]", auth.user.as_deref().unwrap_or_default());
        put("auth[]", auth.password.expose());
    }
    if let Some(tls) = &host.tls {
        let switch = |on| if on { "1" } else { "0" };
        let path = |path: &Option<PathBuf>| {
            path.as_deref().map_or("", |path| path.to_str().unwrap()).to_owned()
        };
        put("stream[verify_peer]", switch(tls.verify_peer));
        put("stream[verify_peer_name]", switch(tls.verify_peer_name));
        put("stream[peer_name]", tls.peer_name.as_deref().unwrap_or_default());
        put("stream[allow_self_signed]", switch(tls.allow_self_signed));
        put("stream[cafile]", &path(&tls.cafile));
        put("stream[capath]", &path(&tls.capath));
        put("stream[local_cert]", &path(&tls.local_cert));
        put("stream[local_pk]", &path(&tls.local_pk));
        put("stream[passphrase]", tls.passphrase.as_ref().map_or("", Secret::expose));
        put("stream[SNI_enabled]", switch(tls.sni));
    }
    out
}

/// All that may be shown of a text.
fn shown(text: &str) -> String {
    match SavePath::parse(text) {
        Ok(parsed) => format!("{parsed:?}"),
        Err(error) => format!("{error} {error:?}"),
    }
}

/// The characters that are in no message, so that every piece of a password
/// made of them and of signs can be recognised.
const TRACES: [char; 3] = ['Q', 'X', 'Z'];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn no_text_makes_the_parser_panic(text in prop_oneof![save_pathish(), any::<String>()]) {
        let _ = shown(&text);
    }

    #[test]
    fn an_error_points_into_the_text(text in save_pathish()) {
        if let Err(error) = SavePath::parse(&text) {
            prop_assert!(text.is_char_boundary(error.offset), "{}", error.offset);
        }
    }

    #[test]
    fn a_printed_list_is_read_back(hosts in prop::collection::vec(any_host(), 1..4)) {
        let text = hosts.iter().map(print).collect::<Vec<_>>().join(", ");
        match topology(&text)? {
            Topology::Standalone(list) => {
                prop_assert_eq!(list.hosts().cloned().collect::<Vec<_>>(), hosts);
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn a_printed_cluster_is_read_back(cluster in cluster()) {
        for text in [print_cluster(&cluster), print_query(&cluster)] {
            prop_assert_eq!(topology(&text)?, Topology::Cluster(cluster.clone()), "{}", text);
        }
    }

    #[test]
    fn a_printed_sentinel_is_read_back(sentinel in sentinel()) {
        let text = print_sentinel(&sentinel);
        prop_assert_eq!(topology(&text)?, Topology::Sentinel(sentinel), "{}", text);
    }

    #[test]
    fn only_a_text_with_an_equals_sign_before_any_host_is_a_query_string(
        host in any_host(), tail in save_pathish(),
    ) {
        // A server first: whatever follows, the text is a list or an error.
        if let Ok(parsed) = SavePath::parse(&format!("{}&{tail}", print(&host))) {
            prop_assert!(matches!(parsed.save_path.topology(), Topology::Standalone(_)));
        }
    }

    #[test]
    fn an_encoded_password_is_read_and_never_shown(password in "[!-~é ]{0,8}[QXZ]{4}[!-~é ]{0,8}") {
        let encoded: String = password.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for text in [
            format!("redis://u:{encoded}@h:1"),
            format!("tcp://h?weight=1&auth={encoded}"),
            format!("unix:/s?auth[user]=u&auth[pass]={encoded}&foo=1"),
            format!("tls://h?auth[]={encoded}&stream[passphrase]={encoded}"),
        ] {
            let parsed = SavePath::parse(&text).unwrap();
            prop_assert_eq!(standalone(&parsed).first.auth.as_ref().unwrap().password.expose(), &password);
            let seen = shown(&text) + &shown(&(text + " tcp://h:0"));
            prop_assert!(!seen.contains(&password) && !seen.contains(&encoded), "{}", seen);
        }
        for text in [
            format!("redis-cluster://u:{encoded}@h:1,h2?prefix=a"),
            format!("redis-cluster://h:1,h2?auth={encoded}&prefix=a"),
            format!("redis-sentinel://u:{encoded}@s1,s2/m?sentinel_auth={encoded}"),
            format!("rediss-sentinel://s1/m?auth[]={encoded}&stream[passphrase]={encoded}"),
            format!("seed[]=h:1&auth[user]=u&auth[pass]={encoded}&foo=1"),
            format!("stream[passphrase]={encoded}&auth={encoded}&seed[]=h:1"),
        ] {
            let parsed = SavePath::parse(&text).unwrap();
            let host = match parsed.save_path.topology() {
                Topology::Standalone(standalone) => &standalone.first,
                Topology::Sentinel(sentinel) => &sentinel.server,
                Topology::Cluster(cluster) => &cluster.node,
            };
            prop_assert_eq!(host.auth.as_ref().unwrap().password.expose(), &password);
            let seen = [shown(&text), shown(&format!("{text} tcp://h:0")), shown(&format!("{text}&weight=1"))];
            let is_hidden = |seen: &String| !seen.contains(&password) && !seen.contains(&encoded);
            prop_assert!(seen.iter().all(is_hidden), "{seen:?}");
        }
    }

    #[test]
    fn no_piece_of_a_password_is_shown_of_a_text_in_error(
        user_info in "[0-9#/@+%&:=., QXZ]{0,8}[QXZ][0-9#/@+%&:=., QXZ]{3,8}",
        value in "[0-9#/?@+%&:=., QXZ]{0,8}[QXZ][0-9#/?@+%&:=., QXZ]{3,8}",
    ) {
        for text in [
            format!("redis://u:{user_info}@h:1/2?weight=2"),
            format!("redis://:{user_info}@h"),
            format!("rediss://{}@h", user_info.replace(':', "")),
            format!("redis://u:{user_info}@h:port"),
            format!("redis://u:a@{user_info}@h:1"),
            format!("redis://u:{user_info}@"),
            format!("redis://{}:@h", user_info.replace(':', "")),
            format!("redis+x://u:{user_info}@h"),
            format!("u:{user_info}@h"),
            format!("tcp://h:1?auth={value}"),
            format!("tcp://h:1?auth[]=u&auth[]={value}&weight=0"),
            format!("tcp://h:port?weight=1&auth={value}"),
            format!("h:1, h:2?foo=1&auth[pass]={value}"),
            format!("unix:/s?auth={value}"),
            format!("tls://h?stream[passphrase]={value}&prefix=a"),
            format!("tls://h?stream[unknown]={value}"),
            format!("tcp://h?passwd={value}"),
            format!("tcp://h?prefix=a,b&auth={value}"),
            format!("tcp://h?weight=1,auth={value}"),
            format!("h auth={value}"),
            format!("redis-cluster://u:{user_info}@h1:1,h2?weight=2"),
            format!("redis-cluster://h1,u:{user_info}@h2:2"),
            format!("redis-cluster://u:{user_info}@h1,u:{user_info}@h2/3"),
            format!("rediss-cluster://{}@h1,h2", user_info.replace(':', "")),
            format!("redis-cluster://u:{user_info}@h1,h2:port"),
            format!("redis-sentinel://u:{user_info}@s1:1,s2/m/2?prefix=a"),
            format!("redis-sentinel://:{user_info}@s1,s2"),
            format!("redis-sentinel://s1,s2?auth={value}"),
            format!("redis-sentinel://s1,s2/m?sentinel_auth={value}&weight=1"),
            format!("redis-sentinel://s1/m?sentinel_auth[]=u&sentinel_auth[]={value}"),
            format!("redis-sentinel://s1/m?sentinel_auth[name]={value}"),
            format!("redis-sentinel://s1/m m?sentinel_auth[pass]={value}"),
            format!("redis-cluster://h1,h2?auth={value}&database=1"),
            format!("redis-cluster://h1:port,h2?auth[pass]={value}"),
            format!("redis-cluster://h1,h2?prefix=a,auth={value}"),
            format!("redis-cluster://h1?passwd={value}"),
            format!("redis-cluster://h1?stream[passphrase]={value}"),
            format!("seed[]=h1:1&auth={value}&weight=1"),
            format!("seed[]=h1:port&auth[]=u&auth[]={value}"),
            format!("auth={value}&seed[]=h1:1&failover=x"),
            format!("auth[pass]={value}&timeout=1"),
            format!("seed[]=h1:1&stream[passphrase]={value}&database=1"),
            format!("seed[]=h1:1&stream[unknown]={value}"),
            format!("seed[]=h1:1&prefix=a,auth={value}&weight=1"),
            format!("seed[]=h1:1&passwd={value}"),
            format!("seed[]=u:{user_info}@h:1"),
            format!("seed[]=h:1&seed[]=u:{user_info}@h:1&failover=x"),
        ] {
            for text in [format!("{text} tcp://h:0"), format!("'tcp://h:1,{text},tcp://h:0'")] {
                let seen = shown(&text);
                prop_assert!(!seen.contains(TRACES), "{}", seen);
            }
        }
    }
}
