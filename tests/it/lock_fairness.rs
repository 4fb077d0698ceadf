//! Many requests for one session at once: one after another, in the order in
//! which they came, and none is left behind.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::support::locking::{SIDE, direct, key, side, store, stored, tell, wait_for};
use crate::support::process::wait_until;
use crate::support::servers::{Options, RedisServer};

const WORKERS: usize = 8;
/// How many others may be served during one wait. In perfect order it is 7; on
/// a busy machine a request can be held up before it waits in the queue.
const MOST_SERVED_MEANWHILE: usize = 3 * (WORKERS - 1);

/// One time with the lock, in nanoseconds of the machine's clock.
#[derive(Debug, Clone, Copy)]
struct Turn {
    worker: usize,
    asked: u64,
    entered: u64,
    left: u64,
}

/// Runs `times` increments in each of the workers, which start at one moment
/// with their connections made; returns their turns in order.
fn compete(server: &RedisServer, times: usize) -> Vec<Turn> {
    let php = direct(server);
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            php.spawn(&format!(
                "{SIDE}
                 session_id('warm-{worker}'); session_start(); session_destroy();
                 tell('ready'); await('start');
                 $turns = [];
                 for ($n = 0; $n < {times}; $n++) {{
                     session_id('shared');
                     $asked = hrtime(true); session_start(); $entered = hrtime(true);
                     count_up(); usleep(5000);
                     $left = hrtime(true); session_write_close();
                     $turns[] = \"{worker} $asked $entered $left\";
                 }}
                 echo implode(\"\\n\", $turns);"
            ))
        })
        .collect();
    (0..WORKERS).for_each(|_| wait_for(server, "ready"));
    let mut connection = side(server);
    let start = redis::pipe().rpush("start", vec![1; WORKERS]).ignore().clone();
    start.exec(&mut connection).unwrap();
    let mut turns: Vec<Turn> = workers
        .into_iter()
        .flat_map(|worker| {
            let output = worker.wait().ok();
            let turn = |line: &str| {
                let fields: Vec<u64> = line.split(' ').map(|f| f.parse().unwrap()).collect();
                let worker = fields[0].try_into().unwrap();
                Turn { worker, asked: fields[1], entered: fields[2], left: fields[3] }
            };
            output.lines().map(turn).collect::<Vec<_>>()
        })
        .collect();
    turns.sort_by_key(|turn| turn.entered);
    turns
}

/// Others that were served between its question and its turn.
fn served_meanwhile<'a>(turns: &'a [Turn], wait: &Turn) -> impl Iterator<Item = &'a Turn> {
    let Turn { worker, asked, entered, .. } = *wait;
    turns
        .iter()
        .filter(move |turn| turn.worker != worker && turn.entered > asked && turn.entered < entered)
}

fn assert_alone(turns: &[Turn]) {
    for pair in turns.windows(2) {
        assert!(pair[0].left <= pair[1].entered, "two at a time: {pair:?}");
    }
}

fn report(turns: &[Turn]) {
    let longest = turns.iter().map(|turn| turn.entered - turn.asked).max().unwrap();
    let most = turns.iter().map(|turn| served_meanwhile(turns, turn).count()).max().unwrap();
    let total = turns.last().unwrap().left - turns.iter().map(|turn| turn.asked).min().unwrap();
    println!(
        "{} turns in {:.0} ms; longest wait {:.0} ms, {most} others served meanwhile",
        turns.len(),
        total as f64 / 1e6,
        longest as f64 / 1e6
    );
}

#[test]
fn nobody_waits_for_more_than_a_few_rounds_and_every_increment_counts() {
    let server = RedisServer::start(Options::default());
    let turns = compete(&server, 25);
    report(&turns);
    assert_eq!(turns.len(), 25 * WORKERS);
    assert_eq!(stored(&server, "shared").unwrap(), "n|i:200;");
    assert_alone(&turns);
    let mut overtaken = 0;
    for wait in &turns {
        let others: Vec<usize> = served_meanwhile(&turns, wait).map(|turn| turn.worker).collect();
        assert!(others.len() <= MOST_SERVED_MEANWHILE, "{} before {wait:?}", others.len());
        let served_twice = |worker: usize| others.iter().filter(|w| **w == worker).count() > 1;
        // The one that holds the lock when it asks may be back once.
        overtaken += usize::from((0..WORKERS).any(served_twice));
    }
    println!("{overtaken} of {} turns began after somebody else had two", turns.len());
    assert!(overtaken * 5 < turns.len(), "{overtaken} were overtaken");
    wait_until("the session alone is left", || server.keys() == [key("shared")]);
}

#[test]
fn a_burst_is_served_in_the_order_in_which_it_came() {
    let server = RedisServer::start(Options::default());
    let turns = compete(&server, 1);
    report(&turns);
    assert_eq!(stored(&server, "shared").unwrap(), "n|i:8;");
    assert_alone(&turns);
    for wait in &turns {
        assert!(served_meanwhile(&turns, wait).count() < WORKERS);
    }
    assert_eq!(server.keys(), [key("shared")]);
}

#[test]
fn those_that_stand_in_the_queue_are_served_in_its_order() {
    let server = RedisServer::start(Options::default());
    store(&server, "shared", "n|i:0;");
    let holder = direct(&server).spawn(&format!(
        "{SIDE} session_id('shared'); session_start(); tell('held'); await('go');"
    ));
    wait_for(&server, "held");
    let mut waiters = Vec::new();
    for place in 1..=WORKERS {
        waiters.push(
            direct(&server).spawn("session_id('shared'); session_start(); echo ++$_SESSION['n'];"),
        );
        wait_until("it waits in the queue", || crate::support::locking::waiting(&server) == place);
    }
    tell(&server, "go");
    holder.wait().ok();
    for (waiter, place) in waiters.into_iter().zip(1..) {
        assert_eq!(waiter.wait().ok(), place.to_string());
    }
    assert_eq!(server.keys(), [key("shared")]);
}
