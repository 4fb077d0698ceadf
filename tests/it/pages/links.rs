//! Links and anchors, the index, the README.

use std::fs;
use std::path::Path;

use super::markdown::{anchors, blocks, heading, links, prose};
use super::{files, read, root};

/// Why a link of the page `page` leads nowhere.
fn fault(page: &Path, link: &str) -> Option<String> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match path {
        "" => page.to_owned(),
        path => page.parent().unwrap().join(path),
    };
    let found = target.exists()
        && (anchor.is_empty()
            || anchors(&fs::read_to_string(&target).unwrap()).iter().any(|one| one == anchor));
    (!found).then(|| format!("{}: {link}", page.strip_prefix(root()).unwrap().display()))
}

#[test]
fn each_link_of_each_page_leads_somewhere() {
    let pages = files(root(), "md");
    let mut faults = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        let inside = links(&text).into_iter().filter(|link| !link.contains("://"));
        faults.extend(inside.filter_map(|link| fault(page, &link)));
    }
    assert!(pages.len() > 20, "{pages:?}");
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn each_page_is_in_the_index() {
    let index = links(&read("docs/README.md"));
    let folder = root().join("docs");
    let pages = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    let pages = pages.map(|name| name.into_string().unwrap());
    let missing: Vec<_> = pages
        .filter(|name| name.ends_with(".md") && name != "README.md")
        .filter(|name| !index.contains(name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 250, "{lines} lines");
}

#[test]
fn the_readme_names_the_version() {
    let said = format!("Version {}, ", env!("CARGO_PKG_VERSION"));
    assert!(read("README.md").contains(&said), "{said}");
}

#[test]
fn the_readme_s_figures_are_those_of_the_benchmark() {
    let (readme, benchmark) = (read("README.md"), read("docs/benchmarks.md"));
    let (_, table) = readme.split_once("| with locking |").unwrap();
    let rows: Vec<_> = table.lines().skip(2).take_while(|line| !line.is_empty()).collect();
    let mut figures = Vec::new();
    for cells in rows.iter().flat_map(|row| row.split(" | ").skip(1)) {
        let numbers = cells.split(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ' '));
        figures.extend(numbers.map(str::trim).filter(|number| !number.is_empty()));
    }
    let unknown: Vec<_> = figures.iter().filter(|figure| !benchmark.contains(*figure)).collect();
    assert!(rows.len() == 5 && figures.len() > 10 && unknown.is_empty(), "{rows:#?}, {unknown:?}");
}

/// `scripts/first-steps` runs those of the page.
#[test]
fn the_readme_s_commands_are_those_of_the_page_on_installation() {
    let (readme, page) = (read("README.md"), read("docs/install.md"));
    let quick_start = readme.split("\n## ").find(|part| part.starts_with("Quick start")).unwrap();
    for language in ["sh", "ini"] {
        let commands = blocks(quick_start, language);
        let known = blocks(&page, language);
        assert!(
            !commands.is_empty() && commands.iter().all(|one| known.contains(one)),
            "{commands:?}"
        );
    }
}

/// A section that was renamed would leave a script without commands.
#[test]
fn the_scripts_that_run_a_page_s_commands_find_them() {
    for script in ["scripts/first-steps", "scripts/docker"] {
        let text = read(script);
        let (_, after) = text.split_once(" page=").expect(script);
        let (page, after) = after.split_once(' ').unwrap();
        let section = after.split('\'').nth(1).unwrap();
        let text = read(page);
        let headings = prose(&text).filter_map(heading).filter(|heading| *heading == section);
        assert_eq!(headings.count(), 1, "{script}: {section} in {page}");
        let (_, rest) = text.split_once(&format!("# {section}\n")).unwrap();
        let until = rest.split("\n## ").next().unwrap();
        assert!(!blocks(until, "sh").is_empty(), "{script}: no commands under {section} in {page}");
    }
}
