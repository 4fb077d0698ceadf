//! A session whose slot is moving from one node to another.
//!
//! The giver serves the keys it has, the receiver those that have arrived and
//! new ones. A script needs all keys of its session on one of them.

use std::sync::atomic::{AtomicBool, Ordering};

use redis::{RedisError, Value};

use super::slots::redirection;
use crate::client::endpoint::{AttemptError, Endpoint};
use crate::config::server::Address;
use crate::key::Keys;

/// Longest time for moving the keys of one session, in milliseconds.
const MAX_MIGRATION: u128 = 1_000;

/// Brings `keys`, whose slot is moving away from `giver`, together on the
/// receiver. What the giver has of them moves first, all at once, so that a lock
/// and what it protects are never on two nodes. Asks the giver one or two times
/// and waits for it. Returns the receiver, once it has all there is; none where
/// that cannot be told, or the giver does not do it for us.
///
/// `moves_nothing` says whether nodes have refused that, and learns it.
pub(super) fn gather_keys(
    keys: &Keys,
    giver: &Endpoint,
    moves_nothing: &AtomicBool,
) -> Option<Address> {
    let from = &giver.host().address;
    let all = [&keys.session, &keys.lock, &keys.baton, &keys.waiters].map(Vec::as_slice);
    let questions = all.map(|key| [&b"EXISTS"[..], key]);
    let questions: Vec<&[&[u8]]> = questions.iter().map(<[&[u8]; 2]>::as_slice).collect();
    let answers = giver.run(|connection| connection.call_all(&questions)).ok()?;
    let mut receiver = None;
    let mut left = Vec::new();
    for (answer, key) in answers.into_iter().zip(all) {
        match answer {
            Value::Int(1) => left.push(key),
            Value::ServerError(error) => {
                receiver = Some(redirection(&RedisError::from(error), from)?);
            }
            _ => return None, // it is not moving any more
        }
    }
    let receiver = receiver?;
    if !left.is_empty() {
        migrate(&left, giver, &receiver, moves_nothing)?;
    }
    Some(receiver)
}

/// Lets `giver` move `keys` to the node that is receiving their slot, as
/// whoever moves the slot would in a moment. Waits for it.
fn migrate(
    keys: &[&[u8]],
    giver: &Endpoint,
    receiver: &Address,
    moves_nothing: &AtomicBool,
) -> Option<()> {
    let Address::Tcp { host, port } = receiver else { return None };
    if moves_nothing.load(Ordering::Relaxed) {
        return None;
    }
    let limit = giver.host().read_timeout.as_millis().clamp(1, MAX_MIGRATION).to_string();
    let port = port.to_string();
    let mut command: Vec<&[u8]> =
        vec![b"MIGRATE", host.as_bytes(), port.as_bytes(), b"", b"0", limit.as_bytes()];
    if let Some(auth) = &giver.host().auth {
        match &auth.user {
            Some(user) => command.extend([&b"AUTH2"[..], user.as_bytes()]),
            None => command.push(b"AUTH"),
        }
        command.push(auth.password.expose().as_bytes());
    }
    command.push(b"KEYS");
    command.extend(keys);
    let moved = giver.run(|connection| connection.call(&command));
    if let Err(error) = &moved {
        // Its words may repeat the command.
        let code = match error {
            AttemptError::Exchange(answer) => answer.code().unwrap_or("no answer").to_owned(),
            AttemptError::Connect(_) => "no connection".to_owned(),
        };
        // No permission, or no such command: asking again would not help.
        moves_nothing.store(is_forbidden(error), Ordering::Relaxed);
        tracing::info!(host = %giver.host().address, operation = "migrate", outcome = code);
    }
    moved.ok().map(|_| ()) // that they are gone already is as good
}

/// Whether asking again would not help: no permission at one of the nodes, or
/// no such command.
fn is_forbidden(error: &AttemptError) -> bool {
    let AttemptError::Exchange(error) = error else { return false };
    let words = error.detail().unwrap_or_default();
    error.code() == Some("NOPERM") || words.contains("NOPERM") || words.contains("unknown command")
}
