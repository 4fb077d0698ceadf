//! Who made the project and where it is at home, in each file that says so,
//! held against `Cargo.toml`. Needs no server and no PHP.

// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use crate::pages::{read, root};

const AUTHORS: &str = env!("CARGO_PKG_AUTHORS");
const HOMEPAGE: &str = env!("CARGO_PKG_HOMEPAGE");
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// Name and address of those who made it.
fn author() -> (&'static str, &'static str) {
    let (name, address) = AUTHORS.split_once(" <").unwrap();
    (name, address.strip_suffix('>').unwrap())
}

#[track_caller]
fn assert_has(path: &str, lines: &[String]) {
    let text = read(path);
    for line in lines {
        assert!(text.contains(line), "{path} does not say, as Cargo.toml does: {line}");
    }
}

#[test]
fn composer_names_the_authors_and_the_home_of_the_manifest() {
    let (name, address) = author();
    let authors = format!(r#"{{ "name": "{name}", "email": "{address}" }}"#);
    let homepage = format!(r#""homepage": "{HOMEPAGE}""#);
    assert_has("composer.json", &[authors, homepage, format!(r#""source": "{REPOSITORY}""#)]);
}

#[test]
fn the_labels_of_the_image_name_the_authors_and_the_home_of_the_manifest() {
    let label = |name: &str, value: &str| format!(r#"org.opencontainers.image.{name}="{value}""#);
    let labels = [label("authors", AUTHORS), label("source", REPOSITORY), label("url", HOMEPAGE)];
    assert_has("docker/Dockerfile", &labels);
}

#[test]
fn the_licence_is_that_of_the_authors() {
    assert_has("LICENSE", &[format!(" {}\n", author().0)]);
}

#[test]
fn the_debian_package_is_told_what_the_manifest_says() {
    let script = "source scripts/lib/build.sh; for name; do manifest . \"$name\"; done";
    let names = ["version", "authors", "homepage", "repository"];
    let output =
        Command::new("bash").args(["-euc", script, "-"]).args(names).current_dir(root()).output();
    let told = String::from_utf8(output.unwrap().stdout).unwrap();
    let expected = [env!("CARGO_PKG_VERSION"), AUTHORS, HOMEPAGE, REPOSITORY];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
}

/// Cargo reads the manifests of all members, whatever it builds.
#[test]
fn the_image_is_built_from_every_member_of_the_workspace() {
    let manifest = read("Cargo.toml");
    let (_, members) = manifest.split_once("members = [").unwrap();
    let (members, _) = members.split_once(']').unwrap();
    let context = read("docker/Dockerfile.dockerignore");
    for member in members.split(',') {
        let wanted = format!("!{}", member.trim().trim_matches('"'));
        assert!(context.lines().any(|line| line == wanted), "{wanted} is missing");
    }
}
