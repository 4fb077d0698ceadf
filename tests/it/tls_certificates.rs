//! Which certificates are accepted with which options: as PHP's own streams
//! do it, which phpredis uses, but for the differences listed here.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support::pki::{Kind, Pki};
use crate::support::servers::{ClientCert, Options, RedisServer};
use crate::support::site::php;

/// The certificates, all for localhost unless they say otherwise.
const KINDS: [&str; 21] = [
    "good",
    "cn_only",
    "v1",
    "v1_self",
    "self",
    "self_ca",
    "self_cn",
    "namesake",
    "other_name",
    "expired",
    "future",
    "stranger",
    "other_key",
    "client_only",
    "rsa",
    "p521",
    "intermediate",
    "lone",
    "expired_self",
    "signer",
    "signing_client",
];

/// Where we do not do as PHP does: certificate, options, and why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("good", "cafile=good.crt", EXACTLY_THIS),
    ("cn_only", "cafile=cn_only.crt", EXACTLY_THIS),
    ("v1", "cafile=v1.crt", EXACTLY_THIS),
    ("stranger", "cafile=stranger.crt", EXACTLY_THIS),
    ("other_key", "cafile=other_key.crt", EXACTLY_THIS),
    ("client_only", "cafile=client_only.crt", EXACTLY_THIS),
    ("rsa", "cafile=rsa.crt", EXACTLY_THIS),
    ("p521", "cafile=ca.crt", NO_P521),
    ("p521", "cafile=file://ca.crt", NO_P521),
    ("p521", "cafile=ca.crt&verify_peer_name=0", NO_P521),
    ("p521", "cafile=ca.crt&allow_self_signed=1&verify_peer_name=0", NO_P521),
    ("intermediate", "cafile=intermediate.crt", EXACTLY_THIS),
    ("lone", "cafile=lone.crt", EXACTLY_THIS),
    ("signer", "cafile=signer.crt", EXACTLY_THIS),
    ("signing_client", "cafile=signing_client.crt", EXACTLY_THIS),
];
const EXACTLY_THIS: &str = "trusting exactly this certificate is trusting less than its authority";
const NO_P521: &str = "the library cannot verify signatures on this curve, and the message says so";

fn make_all(pki: &Pki) {
    let san = "subjectAltName=DNS:localhost,IP:127.0.0.1";
    let by_ca =
        Kind { common_name: "server", issuer: Some("ca"), extensions: san, ..Kind::default() };
    let own = Kind { issuer: None, ..by_ca };
    let bare = Kind { common_name: "localhost", extensions: "", ..by_ca };
    pki.authority("ca", "test ca");
    pki.authority("twin_ca", "test ca");
    pki.authority("unknown", "somebody else");
    pki.authority("namesake_root", "localhost");
    let middle = "basicConstraints=critical,CA:TRUE";
    pki.make("middle", Kind { common_name: "middle", extensions: middle, ..by_ca });
    pki.make("good", by_ca);
    pki.make("cn_only", bare);
    pki.make("v1", Kind { is_v1: true, ..bare });
    pki.make("v1_self", Kind { is_v1: true, issuer: None, ..bare });
    pki.make("self", own);
    let authority = format!("{san}\nbasicConstraints=critical,CA:TRUE");
    pki.make("self_ca", Kind { extensions: &authority, ..own });
    pki.make("self_cn", Kind { issuer: None, ..bare });
    pki.make("namesake", Kind { common_name: "localhost", ..own });
    pki.make(
        "other_name",
        Kind {
            common_name: "localhost",
            extensions: "subjectAltName=DNS:a.example,DNS:b.example,DNS:c.example,DNS:d.example",
            ..by_ca
        },
    );
    pki.make("signer", Kind { extensions: &authority, ..by_ca });
    let client = format!("{authority}\nextendedKeyUsage=clientAuth");
    pki.make("signing_client", Kind { extensions: &client, ..by_ca });
    let past = Some(("20200101000000Z", "20210101000000Z"));
    pki.make("expired", Kind { valid: past, ..by_ca });
    pki.make("expired_self", Kind { valid: past, ..own });
    pki.make("future", Kind { valid: Some(("20900101000000Z", "20910101000000Z")), ..by_ca });
    pki.make("stranger", Kind { issuer: Some("unknown"), ..by_ca });
    pki.make("other_key", Kind { issuer: Some("twin_ca"), ..by_ca });
    let client = format!("{san}\nextendedKeyUsage=clientAuth");
    pki.make("client_only", Kind { extensions: &client, ..by_ca });
    pki.make("rsa", Kind { key: Some("rsa:2048"), ..by_ca });
    pki.make("p521", Kind { key: Some("secp521r1"), ..by_ca });
    pki.make("lone", Kind { issuer: Some("middle"), ..by_ca });
    pki.join("intermediate.crt", &["lone.crt", "middle.crt"]);
    pki.join("intermediate.key", &["lone.key"]);
}

fn start(pki: &Pki, name: &str) -> RedisServer {
    RedisServer::start(Options {
        tls: Some(ClientCert::Optional),
        config: vec![
            format!("tls-cert-file {}", pki.crt(name)),
            format!("tls-key-file {}", pki.key(name)),
        ],
        ..Options::default()
    })
}

/// Asks both with each set of options. A line for each: `kind options php ours message`.
const ASK: &str = r#"
    ob_start();
    foreach ($sets as $set) {
        parse_str($set, $options);
        $context = stream_context_create(['ssl' => $options]);
        $php = (bool) @stream_socket_client("tls://localhost:$port", $errno, $error, 5, STREAM_CLIENT_CONNECT, $context);
        $query = implode('&', array_map(fn ($name, $value) => "stream[$name]=$value", array_keys($options), $options));
        ini_set('session.save_path', "tls://localhost:$port?$query");
        $message = '';
        set_error_handler(function ($_, $text) use (&$message) { $message = $message ?: $text; return true; });
        session_id('tls');
        $ours = session_start();
        if ($ours) session_write_close();
        restore_error_handler();
        echo "$set\t", (int) $php, "\t", (int) $ours, "\t$message\n";
    }
"#;

#[test]
fn each_certificate_is_accepted_with_the_options_that_php_accepts_it_with() {
    let pki = Pki::new();
    make_all(&pki);
    let mut found = Vec::new();
    let mut bad_words = Vec::new();
    for kind in KINDS {
        let server = start(&pki, kind);
        let (ca, this, namesake) = (pki.crt("ca"), pki.crt(kind), pki.crt("namesake_root"));
        let sets = [
            String::new(),
            format!("cafile={ca}"),
            format!("cafile=file://{ca}"),
            "verify_peer=0".into(),
            "verify_peer=0&verify_peer_name=0".into(),
            "allow_self_signed=1".into(),
            format!("cafile={this}"),
            format!("cafile={ca}&verify_peer_name=0"),
            format!("cafile={namesake}&allow_self_signed=1"),
            format!("cafile={ca}&allow_self_signed=1&verify_peer_name=0"),
        ];
        let code = format!("$port = {}; $sets = json_decode('{sets:?}'); {ASK}", server.tls_port());
        for line in php("").run(&code).stdout.lines() {
            let parts: Vec<_> = line.splitn(4, '\t').collect();
            let [set, php, ours, message] = parts[..] else { panic!("{line}") };
            let set = set.replace(&format!("{}/", pki.dir().display()), "");
            println!("{kind:13} {set:52} php {php} ours {ours} {message}");
            if php != ours {
                found.push((kind, set.clone()));
            }
            let begins = message.contains("TLS handshake failed: ");
            let rust = ["{", "Other(", "Error("].iter().any(|code| message.contains(code));
            if ours == "0" && (!begins || rust) {
                bad_words.push(message.to_owned());
            }
        }
    }
    let listed: Vec<_> =
        DIFFERENCES.iter().map(|(kind, set, _)| (*kind, (*set).to_owned())).collect();
    assert_eq!(found, listed);
    assert_eq!(bad_words, [""; 0]);
}
