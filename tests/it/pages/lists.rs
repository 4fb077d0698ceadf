//! Every setting, parameter and message is on its page, once, and nothing else is.

use std::collections::BTreeSet;

use super::markdown::{prose, rows};
use super::read;
use super::source::{item, literals, source, sources};

/// What is in one list and not in the other.
#[track_caller]
fn assert_same(of_page: Vec<String>, of_code: Vec<String>) {
    let [page, code] = [&of_page, &of_code].map(|list| list.iter().collect::<BTreeSet<_>>());
    let missing: Vec<_> = code.difference(&page).collect();
    let unknown: Vec<_> = page.difference(&code).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "missing: {missing:#?}, unknown: {unknown:#?}"
    );
    let mut once = BTreeSet::new();
    let twice: Vec<_> = of_page.iter().filter(|one| !once.insert(*one)).collect();
    assert!(twice.is_empty(), "more than once: {twice:#?}");
}

#[test]
fn every_setting_has_one_heading_with_its_default_and_who_may_change_it() {
    let source = source("ini.rs");
    let (_, entries) = source.split_once("const ENTRIES").unwrap();
    let (entries, _) = entries.split_once("];").unwrap();
    let of_code = entries.split("(c\"").skip(1).map(|entry| {
        let texts: Vec<_> = entry.split('"').collect();
        let default = match texts[2] {
            "" => "none".to_owned(),
            value => format!("`{value}`"),
        };
        let by = if entry.contains("Permission::System") { "by system" } else { "anywhere" };
        format!("{}, default {default}, changed {by}", texts[0])
    });
    let page = read("docs/configuration.md");
    let lines: Vec<_> = prose(&page).filter(|line| !line.is_empty()).collect();
    let headings = lines.windows(2).filter_map(|pair| {
        let facts = pair[1].strip_prefix("Default: ").unwrap_or_default();
        let facts: Vec<_> = facts.split(" · ").collect();
        let (default, by) = (facts[0], facts.last().copied().unwrap_or_default());
        Some(format!("{}, default {default}, {by}", pair[0].strip_prefix("### ")?))
    });
    assert_same(headings.collect(), of_code.collect());
}

/// `stream[cafile]` is `cafile` here, and `seed[]` is `seed`.
#[test]
fn every_parameter_of_the_save_path_is_in_one_table() {
    let page = read("docs/save-path.md");
    let rows =
        rows(&page).into_iter().filter(|row| matches!(row.table, "parameter" | "TLS option"));
    let names = rows.flat_map(|row| row.codes);
    let of_page = names.map(|name| {
        let inner = name.strip_prefix("stream[").and_then(|name| name.strip_suffix(']'));
        inner.unwrap_or(name.trim_end_matches("[]")).to_owned()
    });
    let known = literals(item(&source("save_path/query.rs"), "fn kind("));
    let options = literals(item(&source("save_path/tls.rs"), "fn set("));
    let of_code = known.into_iter().chain(options).filter(|name| !name.contains(' '));
    assert_same(of_page.collect(), of_code.filter(|name| name != "stream").collect());
}

/// Sections of the page with the words of others.
const OF_OTHERS: [&str; 2] = ["What a server or the system says", "What PHP says"];

/// Texts in the code that are not shown, but looked for in the words of
/// servers and of PHP, and in files.
const LOOKED_FOR: [&str; 12] = [
    ") is not within the allowed path(s)",
    ", with args beginning with",
    "EC PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "Error running script",
    "RSA PRIVATE KEY",
    "a non local key",
    "max number of clients",
    "open_basedir restriction in effect. File(",
    "timeout is not",
    "without any password configured",
    "wrong number of arguments for 'auth'",
];

/// `…` for what is filled in.
fn message(literal: &str) -> String {
    let mut parts = literal.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push('…');
        text.push_str(part.split_once('}').map_or(part, |(_, rest)| rest));
    }
    text.trim().to_owned()
}

/// Three words make a message: names, commands and fragments have fewer.
fn is_sentence(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() > 1);
    text.contains(' ') && words.count() >= 3
}

#[test]
fn every_message_is_on_its_page_once_word_for_word() {
    let all: Vec<_> = sources().iter().flat_map(|(_, source)| literals(source)).collect();
    let all: Vec<_> = all.iter().map(|literal| message(literal)).collect();
    let stale: Vec<_> =
        LOOKED_FOR.iter().filter(|text| !all.iter().any(|one| one == *text)).collect();
    assert!(stale.is_empty(), "not in the code any more: {stale:?}");

    let (messages, log) = (read("docs/messages.md"), read("docs/logging.md"));
    let shown = rows(&messages).into_iter().filter(|row| !OF_OTHERS.contains(&row.section));
    let logged = rows(&log).into_iter().filter(|row| row.table == "line");
    let of_page: Vec<_> =
        shown.chain(logged).flat_map(|row| row.codes).map(str::to_owned).collect();
    // A message of fewer words may be on the page, if it is in the code.
    let listed = |text: &String| of_page.contains(text);
    let must = |text: &String| is_sentence(text) && !LOOKED_FOR.contains(&text.as_str());
    let of_code = all.iter().filter(|text| must(text) || listed(text)).cloned();
    assert_same(of_page.clone(), of_code.collect());
}
