//! Encrypted connections: whom we trust, what we show, and what we say when
//! it does not fit. The server's certificate is for localhost and 127.0.0.1,
//! from a CA that is known here alone.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

mod private_keys;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::pki::{Kind, Pki};
use crate::support::scripted::ScriptedServer;
use crate::support::servers::{ClientCert, Options, RedisServer};
use crate::support::site::{Site, php, warnings};
use servers::certs::Certs;
use tempfile::TempDir;

const STORE: &str = "session_id('tls'); session_start(); $_SESSION['n'] = 7;
     session_write_close(); session_start(); echo $_SESSION['n'];";

fn server(client_cert: ClientCert) -> RedisServer {
    RedisServer::start(Options {
        tls: Some(client_cert),
        requirepass: Some("secret".into()),
        ..Options::default()
    })
}

/// A server whose certificate is signed by its own key.
fn self_signed(pki: &Pki) -> RedisServer {
    let extensions = "basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\n\
        subjectAltName=IP:127.0.0.1";
    pki.make("self", Kind { common_name: "self", extensions, ..Kind::default() });
    RedisServer::start(Options {
        tls: Some(ClientCert::Optional),
        requirepass: Some("secret".into()),
        config: vec![
            format!("tls-cert-file {}", pki.crt("self")),
            format!("tls-key-file {}", pki.key("self")),
        ],
        ..Options::default()
    })
}

/// The save path with these `stream[...]` options.
fn save_path(server: &RedisServer, host: &str, stream: &[(&str, &str)]) -> String {
    let options: String =
        stream.iter().map(|(name, value)| format!("&stream[{name}]={value}")).collect();
    format!("tls://{host}:{}?auth=secret{options}", server.tls_port())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[track_caller]
fn assert_works(save_path: &str) {
    assert_eq!(php(save_path).run(STORE).ok(), "7", "{save_path}");
}

/// The only warning of a session that cannot start.
#[track_caller]
fn refusal(save_path: &str) -> String {
    let output = php(save_path).run("session_id('tls'); var_dump(session_start());");
    assert!(output.stdout.contains("bool(false)"), "{save_path}: {output:?}");
    let mut ours = warnings(&output.stdout);
    assert_eq!(ours.len(), 1, "{output:?}");
    ours.remove(0)
}

#[test]
fn a_server_of_our_own_ca_is_trusted_by_its_file_or_directory() {
    let server = server(ClientCert::Optional);
    let ca = text(&server.certs().ca);
    assert_works(&save_path(&server, "127.0.0.1", &[("cafile", ca)]));
    assert_works(&save_path(&server, "localhost", &[("cafile", ca)]));
    assert_works(&save_path(&server, "127.0.0.1", &[("cafile", ca)]).replace("tls:", "ssl:"));
    let directory = TempDir::new().unwrap();
    fs::copy(ca, directory.path().join("ca.pem")).unwrap();
    assert_works(&save_path(&server, "127.0.0.1", &[("capath", text(directory.path()))]));
}

#[test]
fn a_platform_s_rediss_url_works() {
    let server = server(ClientCert::Optional);
    let (port, ca) = (server.tls_port(), server.certs().ca.display());
    assert_works(&format!("rediss://:secret@127.0.0.1:{port}/3?stream[cafile]={ca}"));
    assert_works(&format!("valkeys://default:secret@localhost:{port}?stream[cafile]={ca}"));
    let mut client = server.client();
    redis::cmd("SELECT").arg(3).exec(&mut client).unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut client).unwrap();
    assert_eq!(keys, ["PHPREDIS_SESSION:tls"]);
}

#[test]
fn an_unknown_ca_is_refused_and_called_that() {
    let server = server(ClientCert::Optional);
    for stream in [&[][..], &[("verify_peer_name", "0")]] {
        let refusal = refusal(&save_path(&server, "127.0.0.1", stream));
        assert!(refusal.contains("TLS handshake failed"), "{refusal}");
        assert!(refusal.contains("UnknownIssuer"), "{refusal}");
        assert!(!refusal.contains("secret"), "{refusal}");
    }
    // A CA of the same name, but with another key.
    let dir = TempDir::new().unwrap();
    let other = Certs::make(dir.path()).unwrap();
    let refusal = refusal(&save_path(&server, "127.0.0.1", &[("cafile", text(&other.ca))]));
    assert!(refusal.contains("invalid peer certificate"), "{refusal}");
}

#[test]
fn the_certificate_must_be_for_the_host_or_for_peer_name() {
    let server = server(ClientCert::Optional);
    let ca = ("cafile", text(&server.certs().ca));
    let to = |stream: &[_]| save_path(&server, "127.0.0.1", stream);
    let wrong = refusal(&to(&[ca, ("peer_name", "redis.example.org")]));
    assert!(wrong.contains("redis.example.org") && wrong.contains("not valid for"), "{wrong}");
    assert_works(&to(&[ca, ("peer_name", "localhost")]));
    assert_works(&to(&[ca, ("peer_name", "redis.example.org"), ("verify_peer_name", "0")]));
}

#[test]
fn verify_peer_can_be_switched_off() {
    let server = server(ClientCert::Optional);
    let stream = [("verify_peer", "0"), ("verify_peer_name", "0")];
    assert_works(&save_path(&server, "127.0.0.1", &stream));
}

#[test]
fn a_certificate_that_signs_itself_is_trusted_when_it_is_allowed_or_known() {
    let pki = Pki::new();
    let server = self_signed(&pki);
    let refusal = refusal(&save_path(&server, "127.0.0.1", &[]));
    assert!(refusal.contains("TLS handshake failed"), "{refusal}");
    assert_works(&save_path(&server, "127.0.0.1", &[("allow_self_signed", "1")]));
    assert_works(&save_path(&server, "127.0.0.1", &[("cafile", &pki.crt("self"))]));
}

#[test]
fn a_certificate_of_an_unknown_ca_is_not_self_signed() {
    let server = server(ClientCert::Optional);
    let refusal = refusal(&save_path(&server, "127.0.0.1", &[("allow_self_signed", "1")]));
    assert!(refusal.contains("UnknownIssuer"), "{refusal}");
}

#[test]
fn a_client_certificate_is_shown_where_the_server_wants_one() {
    let server = server(ClientCert::Required);
    let certs = server.certs();
    let ca = ("cafile", text(&certs.ca));
    let key = ("local_pk", text(&certs.client_key));
    assert_works(&save_path(&server, "127.0.0.1", &[ca, ("local_cert", text(&certs.client)), key]));
    // Both in one file, as PHP takes it too.
    let both = [&certs.client, &certs.client_key].map(|file| fs::read_to_string(file).unwrap());
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("both.pem");
    fs::write(&file, both.concat()).unwrap();
    assert_works(&save_path(&server, "127.0.0.1", &[ca, ("local_cert", text(&file))]));

    let none = refusal(&save_path(&server, "127.0.0.1", &[ca]));
    assert!(
        none.contains("the server requires a client certificate: set stream[local_cert]="),
        "{none}"
    );
}

#[test]
fn a_file_that_is_not_there_or_holds_something_else_is_named() {
    let server = server(ClientCert::Optional);
    let certs = server.certs();
    for (option, file) in [
        ("cafile", Path::new("/no/such/ca.pem")),
        ("cafile", certs.ca.with_file_name("redis.conf").as_path()),
        ("capath", Path::new("/no/such/directory")),
        ("local_cert", Path::new("/no/such/client.pem")),
    ] {
        let refusal = refusal(&save_path(&server, "127.0.0.1", &[(option, text(file))]));
        assert!(refusal.contains(text(file)), "{option}: {refusal}");
    }
}

#[test]
fn plain_text_and_tls_do_not_understand_each_other_but_say_so() {
    let server = server(ClientCert::Optional);
    let start = Instant::now();
    let refused = refusal(&format!("tls://{}?auth=secret", server.addr()));
    assert!(refused.contains("TLS handshake failed"), "{refused}");
    assert!(refused.contains("no TLS on this port; write tcp:// or redis://"), "{refused}");
    let refused = refusal(&format!("tcp://127.0.0.1:{}?auth=secret", server.tls_port()));
    assert!(refused.contains("login failed"), "{refused}");
    assert!(refused.contains("wants TLS on this port: write tls:// or rediss://"), "{refused}");
    // The silence of a plain server is not waited for until the timeout.
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
fn a_server_that_speaks_neither_is_not_said_to_speak_the_other() {
    let server = ScriptedServer::http();
    let refused = refusal(&format!("tls://{}?timeout=1", server.addr()));
    assert!(!refused.contains("redis://"), "{refused}");
    let refused = refusal(&format!("tcp://{}?timeout=1", server.addr()));
    assert!(!refused.contains("tls://"), "{refused}");
}

#[test]
fn a_scheme_may_ask_for_one_version_of_tls() {
    let old = RedisServer::start(Options {
        tls: Some(ClientCert::Optional),
        requirepass: Some("secret".into()),
        config: vec!["tls-protocols TLSv1.2".into()],
        ..Options::default()
    });
    let new = server(ClientCert::Optional);
    let path = |server: &RedisServer, scheme: &str| {
        let ca = text(&server.certs().ca);
        save_path(server, "127.0.0.1", &[("cafile", ca)]).replace("tls:", scheme)
    };
    assert_works(&path(&old, "tls:"));
    assert_works(&path(&old, "tlsv1.2:"));
    assert_works(&path(&new, "tlsv1.2:"));
    assert_works(&path(&new, "TLSv1.3:"));
    let refused = refusal(&path(&old, "tlsv1.3:"));
    assert!(refused.contains("version") && refused.contains("TLS 1.3 only"), "{refused}");
    let refused = refusal(&path(&new, "tlsv1.1:"));
    assert!(refused.contains("tlsv1.1://") && refused.contains("write tls://"), "{refused}");
}

#[test]
fn files_are_read_again_when_they_change() {
    let mut server = server(ClientCert::Required);
    let dir = TempDir::new().unwrap();
    let file = |name: &str| dir.path().join(name);
    let put = |from: &Path, to: &str| {
        // As those who rotate certificates do it: never half a file.
        fs::copy(from, file("new")).unwrap();
        fs::rename(file("new"), file(to)).unwrap();
    };
    let certs = server.certs().clone();
    put(&certs.ca, "ca.pem");
    put(&certs.client, "client.pem");
    put(&certs.client_key, "client.key");
    let path = save_path(
        &server,
        "127.0.0.1",
        &[
            ("cafile", text(&file("ca.pem"))),
            ("local_cert", text(&file("client.pem"))),
            ("local_pk", text(&file("client.key"))),
        ],
    );
    let site = Site::start(&php(&path));
    let visit = |server: &mut RedisServer| {
        server.restart(); // or the connection that is there would be used
        site.visit("tls", "echo (int) session_start();")
    };
    assert_eq!(visit(&mut server).ok(), "1");

    let elsewhere = TempDir::new().unwrap();
    let others = Certs::make(elsewhere.path()).unwrap();
    put(&others.ca, "ca.pem");
    assert!(
        visit(&mut server).warning().contains("hold an issuer of that name, but with another key")
    );
    put(&certs.server_key, "ca.pem");
    let broken = visit(&mut server);
    assert!(broken.warning().contains(text(&file("ca.pem"))), "{broken:?}");
    fs::remove_file(file("ca.pem")).unwrap();
    let missing = visit(&mut server);
    assert!(missing.warning().contains(text(&file("ca.pem"))), "{missing:?}");
    // A link, which is how Kubernetes changes its secrets.
    std::os::unix::fs::symlink(&certs.ca, file("ca.pem")).unwrap();
    assert_eq!(visit(&mut server).ok(), "1");

    put(&others.client_key, "client.key");
    let unfit = visit(&mut server);
    let names_both = ["client.key", "client.pem"].iter().all(|name| unfit.warning().contains(name));
    assert!(
        names_both && unfit.warning().contains("does not belong to the certificate"),
        "{unfit:?}"
    );
    put(&others.client, "client.pem");
    let refused = visit(&mut server);
    assert!(refused.warning().contains("the client certificate in"), "{refused:?}");
    put(&certs.client, "client.pem");
    fs::write(file("client.key"), fs::read(&certs.client_key).unwrap()).unwrap();
    assert_eq!(visit(&mut server).ok(), "1");
}

#[test]
fn a_kept_tls_connection_serves_many_sessions_and_is_replaced_when_closed() {
    let server = server(ClientCert::Optional);
    let ca = text(&server.certs().ca);
    let code = format!(
        "$socket = 'unix://{}';
         $tell = function ($command) use ($socket) {{
             $s = stream_socket_client($socket);
             fwrite($s, \"AUTH secret\\r\\n$command\\r\\nQUIT\\r\\n\");
             return stream_get_contents($s);
         }};
         $visit = function ($id, $do = null) {{
             session_id($id); session_start(); $_SESSION['id'] ??= $id;
             if ($do) $do();
             if ($_SESSION['id'] !== $id) echo 'crosstalk';
             session_write_close();
         }};
         for ($i = 0; $i < 20; $i++) $visit(\"s$i\");
         preg_match('/total_connections_received:(\\d+)/', $tell('INFO stats'), $m);
         $before = (int) $m[1];
         for ($i = 0; $i < 20; $i++) $visit(\"s$i\");
         preg_match('/total_connections_received:(\\d+)/', $tell('INFO stats'), $m);
         echo $m[1] - $before, ' ';
         $tell('CLIENT KILL TYPE normal SKIPME yes');
         $visit('s1');
         $visit('s2', fn() => $tell('CLIENT KILL TYPE normal SKIPME yes'));
         $visit('s2');
         echo 'done';",
        server.socket().display()
    );
    let save_path = save_path(&server, "127.0.0.1", &[("cafile", ca)]);
    // The one new connection is the question itself.
    assert_eq!(php(&save_path).run(&code).ok(), "1 done");
}
