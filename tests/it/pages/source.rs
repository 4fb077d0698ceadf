//! As much of Rust as it takes to find the texts in the source files.

use std::fs;

use super::{files, root};

/// The source file whose path ends with `end`.
pub(super) fn source(end: &str) -> String {
    let found: Vec<_> =
        files(&root().join("src"), "rs").into_iter().filter(|path| path.ends_with(end)).collect();
    assert_eq!(found.len(), 1, "{end}: {found:?}");
    fs::read_to_string(&found[0]).unwrap()
}

/// All of the extension's source files, by their paths in `src/`, without their
/// tests.
pub(crate) fn sources() -> Vec<(String, String)> {
    let folder = root().join("src");
    let own = files(&folder, "rs").into_iter().filter(|path| {
        path.file_name().is_some_and(|name| name != "tests.rs")
            && !path.components().any(|part| part.as_os_str() == "tests")
    });
    own.map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(&folder).unwrap().to_str().unwrap();
        (path.to_owned(), without_tests(&text).to_owned())
    })
    .collect()
}

/// What is before the module of tests, which ends a file.
fn without_tests(text: &str) -> &str {
    const TEST: &str = "#[cfg(test)]\nmod ";
    let module = text.match_indices(TEST).find(|(at, _)| {
        let line = text[at + TEST.len()..].lines().next();
        line.is_some_and(|line| line.ends_with('{'))
    });
    module.map_or(text, |(at, _)| &text[..at])
}

/// From the line that holds `start` to the brace that closes it.
pub(super) fn item<'a>(text: &'a str, start: &str) -> &'a str {
    let at = text.find(start).expect(start);
    let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let indent = text[line..].len() - text[line..].trim_start().len();
    let closing = format!("\n{}}}", &text[line..line + indent]);
    let end = text[at..].find(&closing).expect("a closing brace");
    &text[at..at + end]
}

/// The texts in quotes, not those for C and of bytes. A line that ends with
/// a backslash goes on where the next one's text begins.
pub(super) fn literals(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let tail = &rest[c.len_utf8()..];
        rest = match c {
            '/' if tail.starts_with('/') => &rest[rest.find('\n').unwrap_or(rest.len())..],
            '\'' if tail.starts_with("\\'") => &tail[3..],
            '\'' if tail.starts_with("\"'") => &tail[2..],
            '"' => {
                let end = end_of(tail);
                if !matches!(before, 'b' | 'c' | 'r') {
                    found.push(unescaped(&tail[..end]));
                }
                &tail[end + 1..]
            }
            _ => tail,
        };
        before = c;
    }
    found
}

/// Where the quote is that ends a text.
fn end_of(text: &str) -> usize {
    let mut is_escaped = false;
    text.find(|c| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    })
    .unwrap()
}

fn unescaped(text: &str) -> String {
    let lines: Vec<_> = text.split("\\\n").collect();
    let first = lines[0].to_owned();
    let joined = lines[1..].iter().fold(first, |all, line| all + line.trim_start());
    joined.replace("\\\"", "\"").replace("\\n", "\n")
}

#[test]
fn texts_are_found_and_nothing_else() {
    let source = r#"
        // "no"
        let c = b"no"; let d = c"no"; let e = '"'; // "no"
        #[error("one {0} \
                 line")]
        f("a \"quoted\" one")
    "#;
    assert_eq!(literals(source), ["one {0} line", "a \"quoted\" one"]);
}
