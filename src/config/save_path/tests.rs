//! Tests of the whole parser; `forms` and `topologies` by example, `errors` and `secrets` for
//! what is refused and hidden, `properties` by random input.

mod errors;
mod forms;
mod properties;
mod secrets;
mod topologies;

use crate::config::server::{Address, Host};

use super::{ParseError, Parsed, SavePath, Standalone, Topology};

/// The only host of a text that must parse without a warning.
fn host(text: &str) -> Host {
    let mut hosts = hosts(text);
    assert_eq!(hosts.len(), 1, "{text}");
    hosts.remove(0)
}

fn hosts(text: &str) -> Vec<Host> {
    let parsed = SavePath::parse(text).unwrap();
    assert_eq!(parsed.warnings, [""; 0], "{text}");
    standalone(&parsed).hosts().cloned().collect()
}

fn warnings(text: &str) -> Vec<String> {
    SavePath::parse(text).unwrap().warnings
}

fn error(text: &str) -> ParseError {
    SavePath::parse(text).expect_err(text)
}

fn tcp(host: &str, port: u16) -> Address {
    Address::Tcp { host: host.to_owned(), port }
}

/// User and password, in the clear.
fn login(text: &str) -> Option<(Option<String>, String)> {
    host(text).auth.map(|auth| (auth.user, auth.password.expose().to_owned()))
}

/// What [`login`] gives for a password alone.
fn password(password: &str) -> Option<(Option<String>, String)> {
    Some((None, password.to_owned()))
}

/// What [`login`] gives for both.
fn both(user: &str, password: &str) -> Option<(Option<String>, String)> {
    Some((Some(user.to_owned()), password.to_owned()))
}

fn standalone(parsed: &Parsed) -> &Standalone {
    match parsed.save_path.topology() {
        Topology::Standalone(standalone) => standalone,
        other => panic!("{other:?}"),
    }
}
