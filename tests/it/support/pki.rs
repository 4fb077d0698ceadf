//! Certificates of every kind, right and wrong, in a folder of their own.

pub use ::servers::certs::Kind;

use ::servers::certs::Maker;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory of certificates and keys: `name.crt`, `name.key`.
pub struct Pki(TempDir);

impl Pki {
    pub fn new() -> Self {
        Self(TempDir::with_prefix("pki-").unwrap())
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
        self.maker().authority(name, common_name).unwrap();
    }

    /// Makes `name.crt` and `name.key`.
    pub fn make(&self, name: &str, kind: Kind<'_>) {
        self.maker().make(name, kind).unwrap();
    }

    fn maker(&self) -> Maker<'_> {
        Maker::new(self.0.path()).unwrap()
    }

    /// Puts the texts of some certificates and keys into one file.
    pub fn join(&self, file: &str, parts: &[&str]) {
        let texts = parts.iter().map(|part| fs::read_to_string(self.path(part)).unwrap());
        fs::write(self.path(file), texts.collect::<String>()).unwrap();
    }

    pub fn dir(&self) -> &Path {
        self.0.path()
    }
}
