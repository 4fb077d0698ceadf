//! The files of the TLS options, read again when they change.
//!
//! Certificates are replaced while workers run, often daily. Each new
//! connection looks whether a file is another one than before, which costs
//! one system call a file; what is wrong with a file is never kept.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// More is no file of certificates.
const MAX_SIZE: u64 = 16 << 20;
/// How coarse a file system's clock may be: a file that was written just now
/// may be written again without looking different.
const CLOCK_STEP: Duration = Duration::from_millis(50);

/// Reads files, and remembers how they looked before that.
#[derive(Default)]
pub struct Files(Vec<(PathBuf, Option<Look>)>);

impl Files {
    /// All of a file.
    ///
    /// # Errors
    /// Words for the operator, with the file's name.
    pub fn read(&mut self, path: &Path) -> Result<Vec<u8>, String> {
        self.watch(path);
        read(path).map_err(|reason| format!("cannot read {}: {reason}", path.display()))
    }

    /// The files in a directory, sorted.
    ///
    /// # Errors
    /// Words for the operator, with the directory's name.
    pub fn list(&mut self, path: &Path) -> Result<Vec<PathBuf>, String> {
        self.watch(path);
        let entries =
            fs::read_dir(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.is_file());
        files.sort();
        Ok(files)
    }

    /// Takes a change of `path` for a change of what was read.
    pub fn watch(&mut self, path: &Path) {
        self.0.push((path.to_owned(), Look::at(path)));
    }

    pub(super) fn are_the_same(&self) -> bool {
        self.0.iter().all(|(path, look)| match (Look::at(path), look) {
            (Some(now), Some(before)) => now.file == before.file && before.is_settled,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    // Before it is opened: opening a pipe would block until someone writes to it.
    if !fs::metadata(path).map_err(|e| e.to_string())?.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| e.to_string())?;
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    match bytes.len() as u64 > MAX_SIZE {
        true => Err("it is too large for a file of certificates".to_owned()),
        false => Ok(bytes),
    }
}

/// What tells a file from the one that was there before; of a connection, where it
/// leads to.
#[derive(Debug)]
struct Look {
    file: [i64; 7],
    /// Whether a later change would be seen.
    is_settled: bool,
}

impl Look {
    fn at(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        let written = |found: &Metadata| {
            let since_1970 = Duration::from_secs(u64::try_from(found.ctime()).ok()?);
            Some(since_1970 + Duration::from_nanos(u64::try_from(found.ctime_nsec()).ok()?))
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let is_settled = written(&found).is_some_and(|written| written + CLOCK_STEP < now);
        let file = [
            found.dev() as i64,
            found.ino() as i64,
            found.size() as i64,
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec(),
        ];
        Some(Self { file, is_settled })
    }
}
