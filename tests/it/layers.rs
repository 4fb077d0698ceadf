//! The direction of imports: each layer knows those below it alone, and no two
//! files know each other. Needs no server and no PHP.

// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod paths;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use crate::pages::source::sources;
use crate::pages::{files, read, root};

/// From top to bottom, as `src/lib.rs` lists them.
const LAYERS: [&str; 11] = [
    "php", "registry", "session", "lock", "topology", "client", "config", "runtime", "key", "log",
    "error",
];

/// The module of each file, as `client::tls`, and the modules it names.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// The module that a file of `src/` is.
fn module(path: &str) -> String {
    let path = path.strip_suffix(".rs").unwrap();
    let path = path.strip_suffix("/mod").unwrap_or(path);
    path.replace('/', "::")
}

fn imports() -> Imports {
    let sources: BTreeMap<_, _> =
        sources().into_iter().map(|(path, text)| (module(&path), text)).collect();
    let modules: BTreeSet<_> = sources.keys().cloned().collect();
    let of = |(own, text): (&String, &String)| {
        let prefix = format!("{own}::");
        let children: Vec<_> = modules
            .iter()
            .filter_map(|other| other.strip_prefix(&prefix).filter(|rest| !rest.contains("::")))
            .map(str::to_owned)
            .collect();
        let named = paths::paths(text, &children);
        let found = named.iter().filter_map(|path| target(own, path, &modules));
        (own.clone(), found.filter(|found| found != own).collect())
    };
    sources.iter().filter(|(own, _)| *own != "lib").map(of).collect()
}

/// The module that the path `written` in the module `own` leads to.
fn target(own: &str, written: &[String], modules: &BTreeSet<String>) -> Option<String> {
    let mut at: Vec<&str> = own.split("::").collect();
    let mut rest = written.iter().map(String::as_str).peekable();
    match rest.peek().copied() {
        Some("crate") => at.clear(),
        Some("super" | "self") => {}
        // A child, by its name alone.
        _ => return longest(&at, rest, modules),
    }
    while let Some(step) = rest.next_if(|step| matches!(*step, "crate" | "super" | "self")) {
        if step == "super" {
            at.pop();
        }
    }
    longest(&at, rest, modules)
}

/// The longest beginning of `at` and `rest` that is a module.
fn longest<'a>(
    at: &[&'a str],
    rest: impl Iterator<Item = &'a str>,
    modules: &BTreeSet<String>,
) -> Option<String> {
    let path: Vec<_> = at.iter().copied().chain(rest).collect();
    (1..=path.len()).rev().map(|end| path[..end].join("::")).find(|one| modules.contains(one))
}

fn layer(module: &str) -> usize {
    let first = module.split("::").next();
    let found = LAYERS.iter().position(|layer| Some(*layer) == first);
    found.unwrap_or_else(|| panic!("{module}: which layer is it?"))
}

#[test]
fn no_module_imports_a_layer_above_it() {
    let mut wrong = Vec::new();
    for (own, others) in &imports() {
        let above = others.iter().filter(|other| layer(other) < layer(own));
        wrong.extend(above.map(|other| format!("{own} imports {other}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A module and its children count like any two files: who lists its children
/// and uses them is not used by them.
#[test]
fn no_two_files_import_each_other_however_far_around() {
    let imports = imports();
    assert!(imports.len() > 80 && imports["registry"].len() > 3, "{imports:#?}");
    let mut circles = Vec::new();
    for own in imports.keys() {
        let mut reached = BTreeSet::new();
        let mut next: Vec<_> = imports[own].iter().collect();
        while let Some(other) = next.pop() {
            if reached.insert(other.clone()) {
                next.extend(&imports[other]);
            }
        }
        if reached.contains(own) {
            circles.push(own.clone());
        }
    }
    assert!(circles.is_empty(), "in a circle: {circles:#?}");
}

#[test]
fn the_map_lists_the_layers_in_their_order() {
    let map = read("src/lib.rs");
    let rows = map.lines().filter_map(|line| line.strip_prefix("//! | ")).skip(1);
    let cells = rows.map(|row| row.split(" | ").next().unwrap());
    let listed: Vec<_> = cells.map(|cell| cell.trim_matches(['[', ']', '`'])).collect();
    assert_eq!(listed, LAYERS);
}

#[test]
fn the_extension_has_few_rooms() {
    let rooms = fs::read_dir(root().join("src")).unwrap().count();
    assert!(rooms <= 12, "{rooms}");
}

/// Of code; clippy counts the lines of functions.
#[test]
fn no_file_has_more_than_400_lines() {
    let folders = ["src", "tests", "tools", "bench", "fuzz", "php-tests", "demo", "scripts"];
    let kinds = ["rs", "lua", "php", "phpt", "inc", "py", "sh"];
    let all = folders.map(|folder| kinds.map(|kind| files(&root().join(folder), kind)).concat());
    let scripts = fs::read_dir(root().join("scripts")).unwrap().map(|entry| entry.unwrap().path());
    let all: Vec<_> =
        all.into_iter().flatten().chain(scripts.filter(|path| path.is_file())).collect();
    let lines = |path: &PathBuf| fs::read_to_string(path).unwrap().lines().count();
    let long: Vec<_> = all.iter().filter(|path| lines(path) > 400).collect();
    assert!(all.len() > 350 && long.is_empty(), "{} files, {long:#?}", all.len());
}
