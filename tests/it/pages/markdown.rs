//! As much of Markdown as the pages use, read as GitHub reads it.

use std::collections::HashMap;

/// The lines outside of code blocks.
pub(super) fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The code blocks in `language`.
pub(super) fn blocks(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    let rest = text.split(&opening).skip(1);
    rest.map(|block| block.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// The text of a heading.
pub(super) fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    (text.len() < line.len()).then(|| text.strip_prefix(' ')).flatten()
}

/// What a link may name after `#`: one anchor a heading.
pub(super) fn anchors(text: &str) -> Vec<String> {
    let mut seen: HashMap<String, u32> = HashMap::new();
    let headings = prose(text).filter_map(heading).map(slug);
    headings
        .map(|slug| {
            let count = seen.entry(slug.clone()).or_default();
            *count += 1;
            if *count == 1 { slug } else { format!("{slug}-{}", *count - 1) }
        })
        .collect()
}

/// GitHub's rule: lower case, no punctuation but `-` and `_`, `-` for a space.
pub(super) fn slug(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

/// Where the links and pictures lead to.
pub(super) fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(text).map(without_code) {
        for (start, end) in [("](", ')'), ("src=\"", '"')] {
            let rest = line.split(start).skip(1);
            links.extend(rest.filter_map(|rest| Some(rest.split_once(end)?.0.to_owned())));
        }
    }
    links
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// A row of a table.
#[derive(Debug)]
pub(super) struct Row<'a> {
    /// The heading of the second level above it.
    pub section: &'a str,
    /// The first cell of its table's head.
    pub table: &'a str,
    /// The code spans in its first cell.
    pub codes: Vec<&'a str>,
}

/// The rows of all tables.
pub(super) fn rows(text: &str) -> Vec<Row<'_>> {
    let (mut section, mut table) = ("", None);
    let mut rows = Vec::new();
    for line in prose(text) {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        let Some(cells) = line.strip_prefix("| ") else {
            // The line of dashes is in the table.
            table = table.filter(|_| line.starts_with("|-"));
            continue;
        };
        let cell = cells.split(" | ").next().unwrap_or_default();
        match table {
            None => table = Some(cell),
            Some(table) => {
                let codes = cell.split('`').skip(1).step_by(2).collect();
                rows.push(Row { section, table, codes });
            }
        }
    }
    rows
}

#[test]
fn a_heading_s_anchor_is_that_of_github() {
    assert_eq!(slug("redis.session.lock_expire"), "redissessionlock_expire");
    assert_eq!(slug("What phpinfo() shows"), "what-phpinfo-shows");
    assert_eq!(slug("`files`, and memcached"), "files-and-memcached");
    assert_eq!(anchors("# A\n```sh\n# B\n```\n## A\n"), ["a", "a-1"]);
}
