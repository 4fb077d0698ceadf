//! Temporary folders that go with their owner.

use crate::error::{Error, Result};
use crate::port::random;
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// How long the path of a server's folder may be: a socket's path has at most
/// 107 bytes, and its name takes the rest.
const LONGEST: usize = 96;

/// Removed with all that is in it on Drop.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes `prefix-NUMBER` in `parent`, or in `TMPDIR` or `/tmp`. Others may
    /// reach files in it whose names they know: a worker of PHP may run as
    /// another user than the servers.
    pub fn new(parent: Option<&Path>, prefix: &str) -> Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        loop {
            let path = parent.join(format!("{prefix}-{:08x}", random() & 0xffff_ffff));
            if path.as_os_str().len() > LONGEST {
                let text = format!(
                    "the path of the temporary folder is too long for sockets: {}: set a shorter TMPDIR",
                    path.display()
                );
                return Err(Error::Failed(text));
            }
            match DirBuilder::new().mode(0o711).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let what = format!("cannot make a folder in {}", parent.display());
                    return Err(Error::failed(&what, error));
                }
            }
        }
    }

    /// One that another process has made, and that goes with this owner as well.
    pub fn of_another(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_owner_and_all_that_is_in_it() {
        let folder = Folder::new(None, "folder-test").unwrap();
        let path = folder.path().to_owned();
        fs::write(path.join("file"), "").unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_path_that_is_too_long_for_sockets_is_refused() {
        let parent = PathBuf::from("/tmp").join("x".repeat(90));
        let error = Folder::new(Some(&parent), "folder-test").unwrap_err();
        assert!(error.to_string().contains("TMPDIR"), "{error}");
    }
}
