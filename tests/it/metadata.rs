//! Files that repeat what `Cargo.toml` says. Needs no server and no PHP.

// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use crate::pages::read;

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
