//! As much of Rust as it takes to find the modules that a file names.

/// The paths of modules that `text` names from `crate`, `self`, `super` or one
/// of its `children`: in `use` lines, whose trees are taken apart, and elsewhere.
/// As they are written, one segment each.
pub(super) fn paths(text: &str, children: &[String]) -> Vec<Vec<String>> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let is_first = at == 0 || tokens[at - 1] != "::";
        let is_root = matches!(token.as_str(), "crate" | "self" | "super")
            || children.iter().any(|child| child == token);
        if is_first && is_root && tokens.get(at + 1).is_some_and(|next| next == "::") {
            at = tree(&tokens, at, &[], &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads `a::b`, `a::{b, c::d}` from `at` on; where it ends.
fn tree(
    tokens: &[String],
    mut at: usize,
    before: &[String],
    found: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = before.to_vec();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = match tokens[at].as_str() {
                        "as" => at + 2,
                        "," | "*" => at + 1,
                        _ => tree(tokens, at, &path, found),
                    };
                }
                return at + 1;
            }
            Some(name) if name.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                path.push(name.to_owned());
                at += 1;
            }
            _ => {}
        }
        let goes_on = tokens.get(at).is_some_and(|token| token == "::")
            && tokens.get(at + 1).is_some_and(|next| next == "{" || is_name(next));
        if goes_on {
            at += 1;
        } else {
            if path.len() > before.len() {
                found.push(path);
            }
            return at;
        }
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::`, and single characters; no comments, no texts.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '"' => 2 + end_of_text(&rest[1..]),
            '\'' if rest.starts_with("'\\'") => 4,
            '\'' if rest.starts_with("'\"'") => 3,
            c if c.is_alphabetic() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let length = end.unwrap_or(rest.len());
                tokens.push(rest[..length].to_owned());
                length
            }
            ':' if rest.starts_with("::") => {
                tokens.push("::".to_owned());
                2
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push(c.to_string());
                }
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    tokens
}

/// Where the quote is that ends a text.
fn end_of_text(text: &str) -> usize {
    let mut is_escaped = false;
    text.find(|c| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    })
    .unwrap()
}

#[test]
fn paths_are_found_wherever_they_are_written() {
    let text = r#"
        // crate::comment::X
        use crate::a::{B, c::{self, D}, e as f};
        use super::super::g;
        use child::H;
        fn i(j: &crate::k::L) -> Self { child::m("crate::text"); std::child::n(); child.o() }
    "#;
    let found = paths(text, &["child".to_owned()]);
    let found: Vec<_> = found.iter().map(|path| path.join("::")).collect();
    assert_eq!(
        found,
        [
            "crate::a::B",
            "crate::a::c::self",
            "crate::a::c::D",
            "crate::a::e",
            "super::super::g",
            "child::H",
            "crate::k::L",
            "child::m",
        ]
    );
}
