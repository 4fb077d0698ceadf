//! What is stored under a lock: only by its holder, and once; and what becomes
//! of a large session on its way there.
//!
//! - `holder`: who may write, renew and destroy
//! - `exchanges`: connections that break, and scripts that were forgotten
//! - `refusals`: what the server refuses
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

mod exchanges;
mod holder;
mod refusals;

use crate::support::locking::scene::{Scene, storing};
use redis_session::lock::scripts::{LockedOutcome, WriteOptions};
use redis_session::lock::token::Token;

/// Sizes that pass through the script, and those that are staged beside it.
const SMALL: [usize; 2] = [0, 2047];
const STAGED: [usize; 3] = [2048, 2049, 300_000];

/// Not text, and nothing that looks compressed.
fn data(size: usize) -> Vec<u8> {
    b"\xff\x00\r\nabc".iter().copied().cycle().take(size).collect()
}

/// What PHP's write does, without PHP.
fn write(scene: &Scene, token: &Token, repeat: bool, data: &[u8]) -> LockedOutcome {
    scene.run(|s, keys| {
        s.write(keys, token, WriteOptions { is_repeat: repeat, ..storing(false) }, data)
    })
}

fn name(key: Vec<u8>) -> String {
    String::from_utf8(key).unwrap()
}

/// All keys but those that belong there.
fn left_over(scene: &Scene) -> Vec<String> {
    let keys = scene.keys();
    let expected = [keys.session, keys.lock, keys.waiters].map(name);
    scene.server.keys().into_iter().filter(|key| !expected.contains(key)).collect()
}

fn ask<T: redis::FromRedisValue>(scene: &Scene, command: &[&[u8]]) -> T {
    let mut request = redis::Cmd::new();
    command.iter().for_each(|word| {
        request.arg(word);
    });
    request.query(&mut scene.server.client()).unwrap()
}

/// Takes the lock away, as its lease does when it ends.
fn expire(scene: &Scene) {
    let _: i64 = ask(scene, &[b"DEL", &scene.keys().lock]);
}
