//! What a reader copies from a page is understood by the extension.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use redis_session::config::save_path::SavePath;

use super::source::source;
use super::{files, root};

/// The pages for users.
fn pages() -> Vec<PathBuf> {
    let own = [root().join("README.md"), root().join("SECURITY.md")];
    own.into_iter().chain(files(&root().join("docs"), "md")).collect()
}

#[test]
fn every_save_path_on_a_page_is_accepted_without_a_warning() {
    let mut examples = BTreeSet::new();
    for page in pages() {
        let text = fs::read_to_string(page).unwrap();
        let values = text.split("session.save_path").skip(1).filter_map(|rest| {
            let value = rest.trim_start_matches([' ', '=', ']']).strip_prefix('"')?;
            Some(value.split('"').next()?.replace("${REDIS_URL}", "rediss://h:password@host:6379"))
        });
        examples.extend(values);
    }
    let refused: Vec<_> = examples
        .iter()
        .filter_map(|text| match SavePath::parse(text) {
            Ok(parsed) if parsed.warnings.is_empty() => None,
            Ok(parsed) => Some(format!("{text}: {:?}", parsed.warnings)),
            Err(error) => Some(format!("{text}: {error}")),
        })
        .collect();
    assert!(examples.len() >= 10, "{examples:#?}");
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn every_setting_that_a_page_names_exists() {
    let known = source("ini.rs");
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let mut unknown = BTreeSet::new();
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(page).unwrap();
        for word in text.split(|c| !named(c)).map(|word| word.trim_end_matches('.')) {
            let prefixes = ["redis.session.", "redis_session."];
            let is_file = [".so", ".ini"].iter().any(|end| word.contains(end));
            if !is_file && prefixes.iter().any(|prefix| word.starts_with(prefix)) {
                count += 1;
                if !known.contains(&format!("c\"{word}\"")) {
                    unknown.insert(word.to_owned());
                }
            }
        }
    }
    assert!(count > 50, "{count}");
    assert!(unknown.is_empty(), "{unknown:#?}");
}
