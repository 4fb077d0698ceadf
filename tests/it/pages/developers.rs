//! The files, functions and tests that the pages for developers mention.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::{files, read, root};

/// The pages that speak of the code.
fn pages() -> Vec<(String, String)> {
    let decisions = files(&root().join("docs/decisions"), "md");
    let named = decisions.iter().map(|path| path.strip_prefix(root()).unwrap().to_str().unwrap());
    let all = ["ARCHITECTURE.md", "CONTRIBUTING.md"].into_iter().chain(named);
    all.filter(|page| root().join(page).exists())
        .map(|page| (page.to_owned(), read(page)))
        .collect()
}

/// Its code spans, not those of blocks.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    super::markdown::prose(text).flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// What is written here: source files, tests, scripts.
fn written() -> Vec<PathBuf> {
    let all = ["src", "tests", "tools", "php-tests", "scripts", "bench", "fuzz", "docker", "demo"];
    let kinds = ["rs", "lua", "phpt", "php", "inc", "py", "sh"];
    all.iter()
        .flat_map(|folder| kinds.iter().flat_map(move |kind| files(&root().join(folder), kind)))
        .collect()
}

const EXTENSIONS: [&str; 7] = [".rs", ".lua", ".phpt", ".inc", ".json", ".toml", ".py"];

/// A path is written from the root, or with its last parts alone, but for those
/// that begin with `src`. `NAME` is any.
#[test]
fn each_file_that_a_page_for_developers_names_exists() {
    let known = written();
    let mut missing = Vec::new();
    for (page, text) in pages() {
        let is_file = |span: &&str| {
            EXTENSIONS.iter().any(|end| span.len() > end.len() && span.ends_with(end))
        };
        for span in spans(&text).filter(is_file).filter(|span| !span.contains([' ', '*'])) {
            let is_end = |path: &PathBuf| path.ends_with(span) && !span.starts_with("src/");
            let exists = root().join(span).exists() || known.iter().any(is_end);
            if !exists && !span.contains("NAME") {
                missing.push(format!("{page}: {span}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Paths of Rust, functions with `()`, and names with an underscore. Names of
/// types are too much like words.
#[test]
fn each_name_that_a_page_for_developers_gives_is_in_the_code() {
    let mut words = BTreeSet::new();
    let all = written();
    let texts: Vec<_> = all.iter().map(|path| fs::read(path).unwrap()).collect();
    let texts: Vec<_> = texts.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect();
    let others = [read("Cargo.toml"), read("clippy.toml"), read("build.rs"), read("scripts/test")];
    for text in texts.iter().map(AsRef::as_ref).chain(others.iter().map(String::as_str)) {
        words.extend(text.split(|c: char| !c.is_alphanumeric() && c != '_'));
    }
    let modules: Vec<_> = all.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    words.extend(modules);
    let mut missing = Vec::new();
    for (page, text) in pages() {
        for span in spans(&text) {
            let name = span.strip_suffix("()").unwrap_or(span);
            let is_path = name.split("::").all(is_name);
            let is_code = name.contains("::") || name.contains('_') || span.ends_with("()");
            if is_path && is_code {
                let unknown = name.split("::").find(|part| !words.contains(part));
                missing.extend(unknown.map(|part| format!("{page}: {span} ({part})")));
            }
        }
    }
    assert!(words.len() > 5_000 && missing.is_empty(), "{missing:#?}");
}

fn is_name(part: &str) -> bool {
    !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// `file`: `test` in a table's last column, and elsewhere.
#[test]
fn each_test_that_the_invariants_name_is_in_its_file() {
    let text = read("ARCHITECTURE.md");
    let (_, table) = text.split_once("## Invariants").unwrap();
    let known = written();
    let (mut checked, mut wrong) = (0, Vec::new());
    for line in table.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let proof = line.rsplit(" | ").next().unwrap();
        for part in proof.split(';') {
            let spans: Vec<_> = part.split('`').skip(1).step_by(2).collect();
            let [file, tests @ ..] = spans.as_slice() else { continue };
            let found = known.iter().find(|path| path.ends_with(file));
            let text = found.map(|path| fs::read_to_string(path).unwrap()).unwrap_or_default();
            checked += tests.len();
            let missing = tests.iter().filter(|test| !test.contains('.'));
            let missing = missing.filter(|test| !text.contains(&format!("fn {test}(")));
            wrong.extend(missing.map(|test| format!("{file}: {test}")));
        }
    }
    assert!(checked > 10 && wrong.is_empty(), "{checked}, {wrong:#?}");
}
