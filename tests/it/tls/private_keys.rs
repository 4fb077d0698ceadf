//! Private keys that a passphrase protects.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{assert_works, refusal, save_path, server, text};
use crate::support::servers::ClientCert;

/// `key`, converted by `openssl` with `arguments`, in a file of that name.
fn converted(key: &Path, dir: &TempDir, name: &str, arguments: &[&str]) -> PathBuf {
    let file = dir.path().join(name);
    let mut openssl = Command::new("openssl");
    openssl.args(arguments).arg("-in").arg(key).arg("-out").arg(&file);
    let output = openssl.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    file
}

#[test]
fn a_private_key_may_have_a_passphrase() {
    let server = server(ClientCert::Required);
    let (certs, dir) = (server.certs(), TempDir::new().unwrap());
    let own = [("cafile", text(&certs.ca)), ("local_cert", text(&certs.client))];
    let path = |key: &Path, passphrase: Option<&str>| {
        let key = [("local_pk", text(key))];
        let passphrase = passphrase.map(|passphrase| ("passphrase", passphrase));
        let options: Vec<_> = own.into_iter().chain(key).chain(passphrase).collect();
        save_path(&server, "127.0.0.1", &options)
    };
    const PASS: &str = "pass:a-long-secret";
    let pkcs8 = ["pkcs8", "-topk8", "-passout", PASS];
    let traditional = ["pkey", "-traditional", "-passout", PASS];
    for (number, (form, more)) in [
        (&pkcs8, &["-v2", "aes-256-cbc"][..]),
        (&pkcs8, &["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1"]),
        (&pkcs8, &["-v2", "des3"]),
        (&pkcs8, &["-scrypt"]),
        (&traditional, &["-aes256"]),
        (&traditional, &["-aes128"]),
        (&traditional, &["-aes192"]),
        (&traditional, &["-des3"]),
    ]
    .into_iter()
    .enumerate()
    {
        let arguments: Vec<_> = form.iter().chain(more).copied().collect();
        let key = converted(&certs.client_key, &dir, &format!("{number}.key"), &arguments);
        assert_works(&path(&key, Some("a-long-secret")));
        let without = refusal(&path(&key, None));
        assert!(
            without.contains(text(&key)) && without.contains("set stream[passphrase]"),
            "{without}"
        );
        let wrong = refusal(&path(&key, Some("hunter2-hunter2")));
        assert!(wrong.contains("is not its passphrase") && !wrong.contains("hunter2"), "{wrong}");
    }
    // Not protected: the passphrase is not asked for, as in PHP.
    assert_works(&path(&certs.client_key, Some("a-long-secret")));
}

#[test]
fn a_private_key_that_cannot_be_read_is_explained() {
    let server = server(ClientCert::Required);
    let (certs, dir) = (server.certs(), TempDir::new().unwrap());
    let put = |name: &str, bytes: &[u8]| {
        let file = dir.path().join(name);
        fs::write(&file, bytes).unwrap();
        file
    };
    let old = ["pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES", "-passout", "pass:abcdefgh"];
    let traditional = ["pkey", "-traditional", "-aes256", "-passout", "pass:abcdefgh"];
    let protected = converted(&certs.client_key, &dir, "traditional", &traditional);
    let protected = fs::read_to_string(protected).unwrap();
    for (file, reason) in [
        (converted(&certs.client_key, &dir, "old", &old), "how it is protected is not supported"),
        (put("none", b"-----BEGIN X-----\nAAAA\n-----END X-----\n"), "contains no private key"),
        (put("cut", &fs::read(&certs.client_key).unwrap()[..100]), "contains no private key"),
        (
            put("cipher", protected.replace("AES-256-CBC", "IDEA-CBC").as_bytes()),
            "protected with IDEA-CBC, which is not supported",
        ),
        (
            put("info", protected.replace("AES-256-CBC,", "AES-256-CBC,00").as_bytes()),
            "is not its passphrase, or the file is damaged",
        ),
    ] {
        let options = [
            ("cafile", text(&certs.ca)),
            ("local_cert", text(&certs.client)),
            ("local_pk", text(&file)),
            ("passphrase", "abcdefgh"),
        ];
        let refusal = refusal(&save_path(&server, "127.0.0.1", &options));
        assert!(refusal.contains(reason) && refusal.contains(text(&file)), "{refusal}");
        assert!(!refusal.contains("abcdefgh"), "{refusal}");
    }
}
