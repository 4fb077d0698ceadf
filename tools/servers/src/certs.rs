//! The one maker of certificates: of every kind, right and wrong, with the `openssl` command.

use crate::error::{Error, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An own configuration: the system's would make every certificate an authority.
const CONFIG: &str = "[req]\ndistinguished_name=dn\n[dn]\n[ca]\ndefault_ca=d\n[d]\n\
    database=index.txt\nnew_certs_dir=.\nrand_serial=yes\npolicy=p\nunique_subject=no\n\
    default_md=sha256\n[p]\ncommonName=supplied\n";
/// A certificate without extensions would be of version 1.
const NO_EXTENSIONS: &str = "subjectKeyIdentifier=hash";

/// What servers with TLS and their clients need, as PEM files. One authority,
/// which no one else trusts, has signed all of them.
#[derive(Debug, Clone)]
pub struct Certs {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The certificate of every server, for `localhost` and `127.0.0.1`.
    pub server: PathBuf,
    /// Its key.
    pub server_key: PathBuf,
    /// A client's certificate.
    pub client: PathBuf,
    /// Its key.
    pub client_key: PathBuf,
}

impl Certs {
    /// Makes them in `dir`.
    pub fn make(dir: &Path) -> Result<Self> {
        let maker = Maker::new(dir)?;
        maker.authority("ca", "test ca")?;
        let server = Kind {
            common_name: "test server",
            extensions: "subjectAltName=DNS:localhost,IP:127.0.0.1",
            issuer: Some("ca"),
            ..Kind::default()
        };
        maker.make("server", server)?;
        let client = Kind {
            common_name: "test client",
            extensions: "extendedKeyUsage=clientAuth",
            ..server
        };
        maker.make("client", client)?;
        let file = |name: &str| dir.join(name);
        Ok(Self {
            ca: file("ca.crt"),
            server: file("server.crt"),
            server_key: file("server.key"),
            client: file("client.crt"),
            client_key: file("client.key"),
        })
    }
}

/// A certificate to make. Defaults to one of version 3 without extensions,
/// with a key on P-256, valid today, that signs itself.
#[derive(Debug, Default, Clone, Copy)]
pub struct Kind<'a> {
    /// Who it is for.
    pub common_name: &'a str,
    /// Lines such as `subjectAltName=DNS:localhost`.
    pub extensions: &'a str,
    /// Who signs it: a name that was made before.
    pub issuer: Option<&'a str>,
    /// X.509 version 1: no extensions.
    pub is_v1: bool,
    /// `rsa:2048`, or a curve.
    pub key: Option<&'a str>,
    /// From and until, as in `20200101000000Z`. Defaults to the next 30 days.
    pub valid: Option<(&'a str, &'a str)>,
}

/// Makes certificates and keys in one directory: `name.crt`, `name.key`.
#[derive(Debug)]
pub struct Maker<'a>(&'a Path);

impl<'a> Maker<'a> {
    /// Begins, or goes on, in `dir`.
    pub fn new(dir: &'a Path) -> Result<Self> {
        let maker = Self(dir);
        maker.write("c.cnf", CONFIG)?;
        maker.write("index.txt", "")?;
        Ok(maker)
    }

    /// Makes an authority that signs itself.
    pub fn authority(&self, name: &str, common_name: &str) -> Result<()> {
        let extensions = "basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash";
        self.make(name, Kind { common_name, extensions, ..Kind::default() })
    }

    /// Makes `name.crt` and `name.key`.
    pub fn make(&self, name: &str, kind: Kind<'_>) -> Result<()> {
        self.request(name, &kind)?;
        self.sign(name, &kind)
    }

    fn request(&self, name: &str, kind: &Kind<'_>) -> Result<()> {
        let curve;
        let key = match kind.key.unwrap_or("prime256v1") {
            rsa if rsa.starts_with("rsa") => vec!["-newkey", rsa],
            name => {
                curve = format!("ec_paramgen_curve:{name}");
                vec!["-newkey", "ec", "-pkeyopt", &curve]
            }
        };
        let subject = format!("/CN={}", kind.common_name);
        let (csr, key_file) = (format!("{name}.csr"), format!("{name}.key"));
        let request = ["req", "-new", "-config", "c.cnf", "-nodes", "-subj", &subject];
        let files = ["-keyout", &key_file, "-out", &csr];
        self.openssl(&[&request[..], &files, &key].concat())
    }

    fn sign(&self, name: &str, kind: &Kind<'_>) -> Result<()> {
        let issuer = kind.issuer.unwrap_or(name);
        let (csr, crt) = (format!("{name}.csr"), format!("{name}.crt"));
        let (ca_crt, ca_key) = (format!("{issuer}.crt"), format!("{issuer}.key"));
        let x509 = ["x509", "-req", "-days", "30"];
        let mut sign: Vec<&str> = match (kind.valid, kind.issuer) {
            (Some((from, until)), issuer) => {
                let who = match issuer {
                    Some(_) => vec!["-cert", &ca_crt, "-keyfile", &ca_key],
                    None => vec!["-selfsign", "-keyfile", &ca_key],
                };
                let how = ["ca", "-batch", "-notext", "-config", "c.cnf"];
                [&how[..], &["-startdate", from, "-enddate", until], &who].concat()
            }
            (None, Some(_)) => {
                [&x509[..], &["-CA", &ca_crt, "-CAkey", &ca_key, "-CAcreateserial"]].concat()
            }
            (None, None) => [&x509[..], &["-signkey", &ca_key]].concat(),
        };
        sign.extend(["-in", &csr, "-out", &crt]);
        if !kind.is_v1 {
            let extensions = Some(kind.extensions).filter(|lines| !lines.is_empty());
            self.write("extensions", &format!("{}\n", extensions.unwrap_or(NO_EXTENSIONS)))?;
            sign.extend(["-extfile", "extensions"]);
        }
        self.openssl(&sign)
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.0.join(file);
        fs::write(&path, text).map_err(|e| Error::failed(&path.display().to_string(), e))
    }

    fn openssl(&self, args: &[&str]) -> Result<()> {
        let output = Command::new("openssl").current_dir(self.0).args(args).output();
        let output = output.map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                Error::Missing("openssl not found, which makes certificates: install it".into())
            }
            _ => Error::failed("cannot run openssl", error),
        })?;
        if output.status.success() {
            return Ok(());
        }
        let reason = String::from_utf8_lossy(&output.stderr);
        Err(Error::failed(
            &format!("openssl {} made no certificate", args.join(" ")),
            reason.trim(),
        ))
    }
}
