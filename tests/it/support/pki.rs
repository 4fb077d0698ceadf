//! Certificates of every kind, right and wrong, made with the `openssl` command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const CONFIG: &str = "[req]\ndistinguished_name=dn\n[dn]\n[ca]\ndefault_ca=d\n[d]\n\
    database=index.txt\nnew_certs_dir=.\nrand_serial=yes\npolicy=p\nunique_subject=no\n\
    default_md=sha256\n[p]\ncommonName=supplied\n";

/// A directory of certificates and keys: `name.crt`, `name.key`.
pub struct Pki(TempDir);

/// A certificate to make. Defaults to one of version 3 without extensions,
/// with a key on P-256, valid today, that signs itself.
#[derive(Default, Clone, Copy)]
pub struct Kind<'a> {
    pub common_name: &'a str,
    /// Lines such as `subjectAltName=DNS:localhost`.
    pub extensions: &'a str,
    /// Who signs it.
    pub issuer: Option<&'a str>,
    /// X.509 version 1: no extensions.
    pub is_v1: bool,
    /// `rsa:2048`, or a curve.
    pub key: Option<&'a str>,
    /// From and until, as in `20200101000000Z`.
    pub valid: Option<(&'a str, &'a str)>,
}

impl Pki {
    pub fn new() -> Self {
        let pki = Self(TempDir::with_prefix("pki-").unwrap());
        fs::write(pki.0.path().join("c.cnf"), CONFIG).unwrap();
        fs::write(pki.0.path().join("index.txt"), "").unwrap();
        pki
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    pub fn crt(&self, name: &str) -> String {
        self.path(&format!("{name}.crt")).display().to_string()
    }

    pub fn key(&self, name: &str) -> String {
        self.path(&format!("{name}.key")).display().to_string()
    }

    /// An authority.
    pub fn authority(&self, name: &str, common_name: &str) {
        let extensions = "basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash";
        self.make(name, Kind { common_name, extensions, ..Kind::default() });
    }

    /// Makes `name.crt` and `name.key`.
    pub fn make(&self, name: &str, kind: Kind<'_>) {
        let key: Vec<String> = match kind.key.unwrap_or("prime256v1") {
            rsa if rsa.starts_with("rsa") => vec!["-newkey".into(), rsa.into()],
            curve => ["-newkey", "ec", "-pkeyopt", &format!("ec_paramgen_curve:{curve}")]
                .map(String::from)
                .into(),
        };
        let subject = format!("/CN={}", kind.common_name);
        let (csr, crt) = (format!("{name}.csr"), format!("{name}.crt"));
        let key_file = format!("{name}.key");
        let mut request = vec!["req", "-new", "-config", "c.cnf", "-nodes", "-subj", &subject];
        request.extend(["-keyout", &key_file, "-out", &csr]);
        request.extend(key.iter().map(String::as_str));
        self.openssl(&request);

        fs::write(self.path("extensions"), format!("{}\n", kind.extensions)).unwrap();
        let issuer = kind.issuer.unwrap_or(name);
        let (ca_crt, ca_key) = (format!("{issuer}.crt"), format!("{issuer}.key"));
        let mut sign: Vec<&str> = match (kind.valid, kind.issuer) {
            (Some((from, until)), _) => {
                let who = match kind.issuer {
                    Some(_) => vec!["-cert", &ca_crt, "-keyfile", &ca_key],
                    None => vec!["-selfsign", "-keyfile", &ca_key],
                };
                let how = ["ca", "-batch", "-notext", "-config", "c.cnf"];
                [&how[..], &["-startdate", from, "-enddate", until], &who].concat()
            }
            (None, Some(_)) => vec![
                "x509",
                "-req",
                "-days",
                "30",
                "-CA",
                &ca_crt,
                "-CAkey",
                &ca_key,
                "-CAcreateserial",
            ],
            (None, None) => vec!["x509", "-req", "-days", "30", "-signkey", &ca_key],
        };
        sign.extend(["-in", &csr, "-out", &crt]);
        // Without extensions it would be of version 1.
        let none = "subjectKeyIdentifier=hash";
        if !kind.is_v1 {
            if kind.extensions.is_empty() {
                fs::write(self.path("extensions"), format!("{none}\n")).unwrap();
            }
            sign.extend(["-extfile", "extensions"]);
        }
        self.openssl(&sign);
    }

    /// Puts the texts of some certificates and keys into one file.
    pub fn join(&self, file: &str, parts: &[&str]) {
        let texts = parts.iter().map(|part| fs::read_to_string(self.path(part)).unwrap());
        fs::write(self.path(file), texts.collect::<String>()).unwrap();
    }

    fn openssl(&self, args: &[&str]) {
        let output = Command::new("openssl").current_dir(self.0.path()).args(args).output();
        let output = output.expect("the openssl command is installed");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "openssl {args:?}: {text}");
    }

    pub fn dir(&self) -> &Path {
        self.0.path()
    }
}
