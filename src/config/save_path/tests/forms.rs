use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::config::auth::Secret;
use crate::config::tls::{TlsOptions, TlsVersion};

#[test]
fn a_bare_host_has_every_default() {
    let expected = Host {
        address: tcp("redis-1", 6379),
        tls: None,
        weight: 1,
        timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(5),
        persistent: true,
        persistent_id: None,
        max_connection_age: Duration::from_secs(3600),
        retry_interval: Duration::ZERO,
        database: 0,
        prefix: None,
        auth: None,
    };
    assert_eq!(host("redis-1"), expected);
    assert_eq!(host("tcp://redis-1"), expected);
    assert_eq!(host("redis-1:6379"), expected);
    assert_eq!(host("TCP://redis-1:6379/?"), expected);
}

#[test]
fn every_way_to_write_an_address_is_read() {
    for (text, address) in [
        ("tcp://my_redis.internal:7000", tcp("my_redis.internal", 7000)),
        ("127.0.0.1:7000", tcp("127.0.0.1", 7000)),
        ("tcp://[::1]", tcp("::1", 6379)),
        ("[2001:db8::7]:7000", tcp("2001:db8::7", 7000)),
        ("tcp://::1:6379", tcp("::1", 6379)),
        ("::1:7000", tcp("::1", 7000)),
        ("tls://2001:db8::7:7000?weight=1", tcp("2001:db8::7", 7000)),
        ("redis://u:p@fe80::1:7000/2", tcp("fe80::1", 7000)),
        ("tcp://1:2:3:4:5:6:7:8:6379", tcp("1:2:3:4:5:6:7:8", 6379)),
        ("tcp://::ffff:127.0.0.1:6379", tcp("::ffff:127.0.0.1", 6379)),
        ("tls://h:1", tcp("h", 1)),
        ("ssl://h", tcp("h", 6379)),
        ("tcp://h:", tcp("h", 6379)),
        ("unix:///run/redis.sock", Address::Unix("/run/redis.sock".into())),
        ("unix:/run/redis.sock", Address::Unix("/run/redis.sock".into())),
        ("UNIX:///run/redis.sock", Address::Unix("/run/redis.sock".into())),
        ("/run/a%20b#c.sock", Address::Unix("/run/a%20b#c.sock".into())),
    ] {
        assert_eq!(host(text).address, address, "{text}");
    }
}

#[test]
fn an_address_prints_with_brackets_only_around_ipv6() {
    for (text, printed) in [
        ("tcp://h:1", "h:1"),
        ("tcp://u:pass@[::1]", "[::1]:6379"),
        ("unix:///run/redis.sock?auth=pass", "unix:/run/redis.sock"),
    ] {
        assert_eq!(host(text).address.to_string(), printed);
    }
}

#[test]
fn a_list_is_split_at_commas_and_white_space() {
    let list = " ,tcp://h1:6379?weight=1&database=2, tcp://h2:6379?weight=2&timeout=2.5\t\n h3,,";
    let hosts = hosts(list);
    let seen: Vec<_> = hosts.iter().map(|h| h.address.to_string()).collect();
    assert_eq!(seen, ["h1:6379", "h2:6379", "h3:6379"]);
    assert_eq!(hosts.iter().map(|h| h.weight).collect::<Vec<_>>(), [1, 2, 1]);
    assert_eq!(hosts[0].database, 2);
    assert_eq!(hosts[1].timeout, Duration::from_millis(2500));
}

#[test]
fn quotes_around_the_text_are_taken_off() {
    for text in ["\"tcp://h:1\"", " 'tcp://h:1, ' "] {
        assert_eq!(host(text).address, tcp("h", 1));
    }
}

#[test]
fn every_parameter_is_read() {
    let host = host(
        "unix:/s?weight=3&timeout=0.5&read_timeout=1.25&persistent=0&persistent_id=a&\
         retry_interval=250&max_connection_age=90.5&database=7&prefix=app%3A&auth=pw",
    );
    let expected = Host {
        address: Address::Unix("/s".into()),
        tls: None,
        weight: 3,
        timeout: Duration::from_millis(500),
        read_timeout: Duration::from_millis(1250),
        persistent: false,
        persistent_id: Some("a".to_owned()),
        max_connection_age: Duration::from_millis(90_500),
        retry_interval: Duration::from_millis(250),
        database: 7,
        prefix: Some("app:".to_owned()),
        auth: host.auth.clone(),
    };
    assert_eq!(host, expected);
}

#[test]
fn read_timeout_zero_is_the_default() {
    for text in ["h?read_timeout=0", "h?read_timeout=0.0"] {
        assert_eq!(host(text).read_timeout, Duration::from_secs(5));
    }
}

#[test]
fn a_prefix_may_be_any_text() {
    for (text, prefix) in [
        ("tcp://h?prefix=a#b", "a#b"),
        ("tcp://h?prefix=a?b=c", "a?b=c"),
        ("tcp://h?prefix=a+b%2Bc%2C", "a b+c,"),
        ("tcp://h?prefix=%7Bsess%7D%zz%", "{sess}%zz%"),
        ("tcp://h?prefix=s\u{e9}ance%C3%A9", "s\u{e9}ance\u{e9}"),
        ("tcp://h?prefix=a@b:7/1", "a@b:7/1"),
        ("tcp://h?prefix=", ""),
    ] {
        assert_eq!(host(text).prefix.as_deref(), Some(prefix), "{text}");
    }
}

#[test]
fn of_a_repeated_parameter_the_last_one_counts() {
    assert_eq!(host("h?weight=2&weight=5").weight, 5);
}

#[test]
fn auth_has_four_forms() {
    assert_eq!(login("h?auth=p"), password("p"));
    assert_eq!(login("h?auth[]=p"), password("p"));
    assert_eq!(login("h?auth[]=u&auth[]=p"), both("u", "p"));
    assert_eq!(login("h?auth%5B0%5D=u&auth%5B1%5D=p"), both("u", "p"));
    assert_eq!(login("h?auth[pass]=p&auth[user]=u"), both("u", "p"));
    assert_eq!(login("h?auth[pass]=p"), password("p"));
}

#[test]
fn auth_is_decoded_and_may_hold_what_a_url_may_not() {
    assert_eq!(login("tcp://h?auth=a%26b%2Cc+d%2B"), password("a&b,c d+"));
    assert_eq!(login("tcp://h:1?auth=a@b/c#d?e=f:g"), password("a@b/c#d?e=f:g"));
}

#[test]
fn an_empty_auth_is_none() {
    for text in ["h?auth=", "h?auth[]=", "redis://@h", "redis://:@h"] {
        assert_eq!(login(text), None, "{text}");
    }
    assert_eq!(login("redis://u:@h"), both("u", ""));
}

#[test]
fn a_platform_url_works_as_it_is() {
    let plain = host("redis://u:p@h:7000/3?weight=2&prefix=x");
    assert_eq!(plain.address, tcp("h", 7000));
    assert_eq!((plain.tls, plain.weight, plain.database), (None, 2, 3));
    assert_eq!(plain.prefix.as_deref(), Some("x"));
    assert_eq!(host("valkey://h").tls, None);
    assert_eq!(host("rediss://h/").tls, Some(TlsOptions::default()));
    assert_eq!(host("valkeys://h/15").database, 15);
}

#[test]
fn user_and_password_before_the_host_are_read() {
    assert_eq!(login("redis://:pw@h"), password("pw"));
    assert_eq!(login("redis://h:pw@host:7000"), both("h", "pw"));
    assert_eq!(login("tls://u:p@h"), both("u", "p"));
    assert_eq!(login("redis://u%3A:p%40%2C+%zz@h"), both("u:", "p@,+%zz"));
}

#[test]
fn a_password_may_hold_what_a_url_may_not() {
    for pass in ["p@ss", "a#b", "a/b", "a?b", "a+b", "a:b", "12/3", "a@b/c@d", "a?b=c", "1?a"] {
        let text = format!("redis://u:{pass}@h:7000/1?prefix=a@b");
        assert_eq!(login(&text), both("u", pass), "{text}");
        assert_eq!(host(&text).address, tcp("h", 7000), "{text}");
        assert_eq!(host(&text).prefix.as_deref(), Some("a@b"), "{text}");
    }
}

#[test]
fn auth_said_twice_is_fine_if_it_is_the_same() {
    assert_eq!(login("redis://:pw@h?auth=pw"), password("pw"));
    assert_eq!(host("redis://h/2?database=2").database, 2);
    assert_eq!(host("tcp://h/2?database=2").database, 2);
    assert_eq!(host("tcp://h/0").database, 0);
}

#[test]
fn every_stream_option_is_read() {
    let text = "tls://h?stream[verify_peer]=0&stream[verify_peer_name]=0&stream[peer_name]=n&\
                stream[allow_self_signed]=1&stream[cafile]=/a&stream[capath]=/b&\
                stream%5Blocal_cert%5D=/c&stream[local_pk]=/d&stream[passphrase]=e&\
                stream[SNI_enabled]=0";
    let expected = TlsOptions {
        version: None,
        verify_peer: false,
        verify_peer_name: false,
        peer_name: Some("n".to_owned()),
        allow_self_signed: true,
        cafile: Some(PathBuf::from("/a")),
        capath: Some(PathBuf::from("/b")),
        local_cert: Some(PathBuf::from("/c")),
        local_pk: Some(PathBuf::from("/d")),
        passphrase: Some(Secret::new("e")),
        sni: false,
    };
    assert_eq!(host(text).tls, Some(expected));
}

#[test]
fn a_scheme_may_name_a_version_of_tls() {
    for (text, version) in [
        ("tlsv1.2://h:1", Some(TlsVersion::Tls12)),
        ("TLSv1.3://u:p@h:1", Some(TlsVersion::Tls13)),
        ("tls://h:1", None),
    ] {
        assert_eq!(host(text).tls.unwrap().version, version, "{text}");
    }
}

#[test]
fn a_file_of_tls_may_be_a_url() {
    for (value, path) in [
        ("/ca.pem", "/ca.pem"),
        ("file:///etc/my%20ca.pem", "/etc/my ca.pem"),
        ("FILE:///ca.pem", "/ca.pem"),
        ("file://localhost/ca.pem", "/ca.pem"),
        ("certs/ca.pem", "certs/ca.pem"),
    ] {
        for option in ["cafile", "capath", "local_cert", "local_pk"] {
            let tls = host(&format!("tls://h?stream[{option}]={value}")).tls.unwrap();
            let found = [tls.cafile, tls.capath, tls.local_cert, tls.local_pk];
            assert_eq!(found.into_iter().flatten().collect::<Vec<_>>(), [PathBuf::from(path)]);
        }
    }
}
