//! TLS certificates made with the `openssl` command: a CA, a server, a client.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// PEM files, all signed by one CA that nobody else trusts.
#[derive(Debug, Clone)]
pub struct Certs {
    pub ca: PathBuf,
    pub server: PathBuf,
    pub server_key: PathBuf,
    pub client: PathBuf,
    pub client_key: PathBuf,
}

impl Certs {
    /// The server's certificate is for `localhost` and `127.0.0.1`.
    pub fn create(dir: &Path) -> Self {
        // Own configuration: the system's would make every certificate a CA.
        fs::write(dir.join("openssl.cnf"), "[req]\ndistinguished_name = dn\n[dn]\n").unwrap();
        issue(dir, "ca", "basicConstraints=critical,CA:TRUE", None);
        let san = "subjectAltName=DNS:localhost,IP:127.0.0.1";
        issue(dir, "server", san, Some("ca"));
        issue(dir, "client", "extendedKeyUsage=clientAuth", Some("ca"));
        Self {
            ca: dir.join("ca.crt"),
            server: dir.join("server.crt"),
            server_key: dir.join("server.key"),
            client: dir.join("client.crt"),
            client_key: dir.join("client.key"),
        }
    }
}

fn issue(dir: &Path, name: &str, extension: &str, issuer: Option<&str>) {
    let mut openssl = Command::new("openssl");
    openssl
        .current_dir(dir)
        .args(["req", "-x509", "-config", "openssl.cnf", "-days", "2"])
        .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-subj", &format!("/CN=test {name}")])
        .args(["-addext", extension])
        .args(["-keyout", &format!("{name}.key")])
        .args(["-out", &format!("{name}.crt")]);
    if let Some(ca) = issuer {
        openssl.args(["-CA", &format!("{ca}.crt"), "-CAkey", &format!("{ca}.key")]);
    }
    let output = openssl.output().expect("the openssl command is installed");
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
}
