//! What the pages say of the code, held against the code, and their links
//! held against each other. Needs no server and no PHP.
//!
//! - `developers`: files, names and tests that the pages for developers mention
//! - `examples`: what readers copy
//! - `links`: links, anchors, the index, the README's length and commands
//! - `lists`: settings, parameters of the save path, messages
//! - `markdown`, `source`: how pages and source files are read

// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used)]

mod developers;
mod examples;
mod links;
mod lists;
mod markdown;
pub mod source;

use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository, by its path in it.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

/// The files below `folder` with this extension, without what builds leave.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let path = entry.path();
        if name.starts_with('.') || name.starts_with("target") {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}
