//! More requests for one session at once than a process has connections to its
//! server: waiting takes no more than half of them, so all are served.
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use crate::support::locking::scene::{SECOND, Scene, policy, storing};
use redis_session::config::settings::{ReadOnly, Refresh};
use redis_session::lock::acquire::{Acquired, Acquisition, Request};
use redis_session::lock::scripts::{Existence, LockedOutcome, Scripts};
use redis_session::lock::token::Token;
use redis_session::topology::ReadRouting;

const THREADS: usize = 300;

#[test]
fn three_hundred_threads_of_one_process_are_all_served() {
    let scene = Scene::new();
    let most = AtomicUsize::new(0);
    let holder = scene.hold();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| count(&scene))).collect();
        crate::support::process::wait_until("many are blocked", || {
            most.fetch_max(scene.blocked(), Ordering::Relaxed);
            scene.blocked() >= 128
        });
        thread::sleep(SECOND);
        most.fetch_max(scene.blocked(), Ordering::Relaxed);
        scene.release(&holder);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(scene.stored().unwrap(), THREADS.to_string().as_bytes());
    assert_eq!(most.into_inner(), 128, "the others do not take what is needed to go on");
    assert_eq!(scene.counted(), None);
}

/// One request: waits for its turn, adds one, and releases it.
fn count(scene: &Scene) {
    let token = Token::new("").unwrap();
    let mut queue = Acquisition::new(Request {
        location: scene.location(),
        token: token.clone(),
        wanted: Existence::Any,
        read_only: ReadOnly::No,
        refresh: Refresh::Never,
        failover: Duration::ZERO,
        replicas: 0,
    });
    let read = loop {
        match queue.step(&scene.backend, &policy(60 * SECOND)).unwrap() {
            Poll::Pending => {}
            Poll::Ready(Acquired::Session(read)) => break read,
            Poll::Ready(Acquired::ExistenceMismatch) => unreachable!(),
        }
    };
    let before: usize = read.map_or(0, |read| String::from_utf8(read).unwrap().parse().unwrap());
    let data = (before + 1).to_string();
    let location = scene.location();
    let kept = scene.backend.run(&location, ReadRouting::Primary, Duration::ZERO, |connection| {
        Scripts(connection).write(&location.keys, &token, storing(false), data.as_bytes())
    });
    assert_eq!(kept.unwrap(), LockedOutcome::Done);
}
