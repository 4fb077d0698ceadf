//! Files of keys, which are read again when they change.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::config::encryption::Keyring;

/// Largest file that is read, in bytes.
const MAX_SIZE: u64 = 64 << 10;
/// Files that a process remembers: one for each of its sites.
const MAX_FILES: usize = 16;
/// What everybody's permissions to read and to write are.
const EVERYBODY: u32 = 0o006;

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    mode: u32,
    /// Last change of its data, and of the file, in nanoseconds.
    times: [(i64, i64); 2],
}

impl From<&std::fs::Metadata> for Stamp {
    fn from(found: &std::fs::Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            mode: found.mode(),
            times: [(found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec())],
        }
    }
}

struct Known {
    path: PathBuf,
    stamp: Stamp,
    keyring: Arc<Keyring>,
}

/// The files that a process has read.
#[derive(Default)]
pub struct KeyFiles(Mutex<Vec<Known>>);

impl KeyFiles {
    /// The keys in the file `path`. Looks at the file each time, and reads it where it
    /// has changed.
    ///
    /// # Errors
    /// Words for the operator. They show no key.
    pub fn keyring(&self, path: &Path) -> Result<Arc<Keyring>, String> {
        if path.as_os_str().is_empty() {
            return Err("it names no file: redis_session.encryption needs one".to_owned());
        }
        let found = std::fs::metadata(path).map_err(|error| reason(&error))?;
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::from(&found);
        if let Some(known) = files.iter().find(|known| known.path == path && known.stamp == stamp) {
            return Ok(known.keyring.clone());
        }
        files.retain(|known| known.path != path);
        let (stamp, keyring) = read(path)?;
        let keyring = Arc::new(keyring);
        if files.len() >= MAX_FILES {
            files.remove(0);
        }
        files.push(Known { path: path.to_owned(), stamp, keyring: keyring.clone() });
        Ok(keyring)
    }
}

fn read(path: &Path) -> Result<(Stamp, Keyring), String> {
    let found = std::fs::metadata(path).map_err(|error| reason(&error))?;
    if !found.is_file() {
        return Err("it is no file".to_owned()); // opening a pipe would wait
    }
    let file = File::open(path).map_err(|error| reason(&error))?;
    let found = file.metadata().map_err(|error| reason(&error))?;
    if found.mode() & EVERYBODY != 0 {
        return Err("everybody may read or write it: make it chmod 640, and its group that of \
                    PHP's workers"
            .to_owned());
    } else if found.len() > MAX_SIZE {
        return Err("it has more than 65536 bytes".to_owned());
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_SIZE as usize));
    file.take(MAX_SIZE).read_to_string(&mut text).map_err(|error| reason(&error))?;
    let keyring = Keyring::parse(&text).map_err(|error| error.to_string())?;
    Ok((Stamp::from(&found), keyring))
}

fn reason(error: &io::Error) -> String {
    format!("it cannot be read: {error}")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use base64ct::{Base64, Encoding};

    use super::*;

    fn write(path: &Path, id: &str, mode: u32) {
        fs::write(path, format!("{id}:{}\n", Base64::encode_string(&[1; 32]))).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_is_read_again_when_it_has_changed() {
        let (files, dir) = (KeyFiles::default(), tempfile::tempdir().unwrap());
        let path = dir.path().join("keys");
        write(&path, "one", 0o640);
        let first = files.keyring(&path).unwrap();
        assert!(Arc::ptr_eq(&first, &files.keyring(&path).unwrap()));
        let new = dir.path().join("new");
        write(&new, "two", 0o600);
        fs::rename(&new, &path).unwrap();
        assert_eq!(files.keyring(&path).unwrap().current().id, "two");
        fs::remove_file(&path).unwrap();
        assert!(files.keyring(&path).unwrap_err().contains("No such file"));
    }

    #[test]
    fn what_everybody_may_read_is_refused() {
        let (files, dir) = (KeyFiles::default(), tempfile::tempdir().unwrap());
        let path = dir.path().join("keys");
        for mode in [0o644, 0o642] {
            write(&path, "one", mode);
            assert!(files.keyring(&path).unwrap_err().contains("everybody may read"));
        }
        assert!(files.keyring(Path::new("")).unwrap_err().contains("names no file"));
        assert!(files.keyring(dir.path()).unwrap_err().contains("no file"));
    }
}
