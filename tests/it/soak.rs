//! Many visitors for a long time, while all that can fail does: servers
//! restart, workers die, the network cuts, delays and repeats.
//!
//! What a visitor was told is stored must be there from then on, and each
//! session must hold what belongs to its id. `SOAK_SECONDS` says how long.
//!
//! - `visitor`: what a visitor does and is told
//! - `memory`: what the workers hold
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod memory;
mod visitor;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

use crate::support::fpm::Fpm;
use crate::support::proxy::{Fault, RecordingProxy};
use crate::support::servers::{Options, RedisServer};
use crate::support::site::php;
use memory::Memory;
use visitor::{Dice, Tally, Visitor};

const WORKERS: usize = 8;
const VISITORS: usize = 10;
/// Sessions that all visitors count in.
const SHARED: usize = 4;
/// What a worker holds at most at any time: sessions of up to 1 MiB, several
/// times over while PHP encodes them.
const CEILING_KIB: u64 = 16 * 1024;
/// What a worker may grow by once it has seen everything: a leak of a few
/// bytes a request is more than that in five minutes.
const GROWTH_KIB: u64 = 1024;
/// Seconds from which on its first half is enough for a worker to see
/// everything; before that only [`CEILING_KIB`] counts.
const SETTLED: u64 = 240;

/// One thing that goes wrong for a moment, and what it is called.
fn trouble(dice: &mut Dice, proxy: &RecordingProxy, server: &RedisServer) -> &'static str {
    let command = |words: &[&str]| {
        if let Ok(mut client) = server.try_client() {
            let _ = redis::cmd(words[0]).arg(&words[1..]).exec(&mut client);
        }
    };
    let bytes = dice.roll(400) as usize;
    let fault = match dice.roll(11) {
        0 => ("cut request", Fault::CutAfterRequestBytes(bytes)),
        1 => ("cut reply", Fault::CutAfterReplyBytes(bytes)),
        2 => ("reset", Fault::ResetOnAccept),
        3 => ("stall", Fault::Stall),
        4 => ("late reply", Fault::LateReply(Duration::from_millis(1300))),
        5 => ("duplicate reply", Fault::DuplicateReply),
        6 => ("garbage reply", Fault::GarbageReply(b"HTTP/1.1 400\r\n\r\n".to_vec())),
        7 => ("delay", Fault::Delay(Duration::from_millis(100))),
        8 => {
            command(&["CLIENT", "KILL", "TYPE", "normal"]);
            return "CLIENT KILL";
        }
        9 => {
            command(&["CLIENT", "PAUSE", "300", "WRITE"]);
            return "CLIENT PAUSE";
        }
        _ => {
            command(&["DEBUG", "SLEEP", "0.5"]);
            return "DEBUG SLEEP";
        }
    };
    // Often for one visit, now and then for all that come meanwhile.
    if dice.roll(4) == 0 {
        proxy.set_fault(fault.1);
        thread::sleep(Duration::from_millis(150));
    } else {
        proxy.set_fault_once(fault.1);
        thread::sleep(Duration::from_millis(50));
    }
    proxy.clear_fault();
    fault.0
}

/// Makes trouble for so long, looks at the workers' memory meanwhile, and
/// returns how often it did what.
fn stir(
    fpm: &Fpm,
    proxy: &RecordingProxy,
    server: &mut RedisServer,
    memory: &mut Memory,
    survivor: i32,
    length: Duration,
) -> BTreeMap<&'static str, u64> {
    let (restart_every, kill_every) =
        (Duration::from_secs(20).min(length / 3), Duration::from_secs(5).min(length / 8));
    let (mut dice, mut troubles) = (Dice::new(), BTreeMap::new());
    let start = Instant::now();
    let (mut restart, mut kill, mut sample) = (restart_every, kill_every, Duration::ZERO);
    while start.elapsed() < length {
        if start.elapsed() > sample {
            memory.sample(fpm);
            proxy.reset(); // what it has recorded
            sample += Duration::from_secs(1);
        }
        if start.elapsed() > kill {
            let pids = fpm.pids();
            let victims: Vec<i32> = pids.into_iter().filter(|pid| *pid != survivor).collect();
            fpm.kill_child(victims[dice.roll(victims.len() as u64) as usize]);
            *troubles.entry("worker killed").or_default() += 1;
            kill += kill_every;
        }
        if start.elapsed() > restart {
            server.restart();
            *troubles.entry("Redis killed and started again").or_default() += 1;
            restart += restart_every;
        }
        let name = trouble(&mut dice, proxy, server);
        *troubles.entry(name).or_default() += 1;
        thread::sleep(Duration::from_millis(100 + dice.roll(300)));
    }
    troubles
}

/// Lets all visitors visit for as long as `stir` makes trouble; what became of their
/// visits, and what `stir` did.
fn visits<T>(fpm: &Fpm, stir: impl FnOnce() -> T) -> (Tally, T) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let visitors: Vec<_> = (0..VISITORS)
            .map(|number| {
                let done = &done;
                scope.spawn(move || {
                    let mut visitor = Visitor::new(fpm, number);
                    while !done.load(Ordering::Relaxed) {
                        visitor.visit();
                    }
                    visitor
                })
            })
            .collect();
        let troubles = stir();
        done.store(true, Ordering::Relaxed);
        let mut tally = Tally::default();
        for visitor in visitors {
            let mut visitor = visitor.join().unwrap();
            visitor.check_all();
            tally += visitor.tally;
        }
        (tally, troubles)
    })
}

#[test]
fn nothing_is_lost_or_mixed_up_while_everything_fails() {
    let seconds = env::var("SOAK_SECONDS").map_or(20, |text| text.parse().unwrap());
    let length = Duration::from_secs(seconds);
    let config = ["appendonly yes", "appendfsync always", "enable-debug-command yes"];
    let config = config.map(str::to_owned).to_vec();
    let mut server = RedisServer::start(Options { config, ..Options::default() });
    let proxy = RecordingProxy::start(server.addr());
    let php = php(&format!("tcp://{}?timeout=1&read_timeout=1", proxy.addr()))
        // The lease of a lock whose holder is killed.
        .ini("max_execution_time", "4")
        .ini("memory_limit", "64M");
    let fpm = Fpm::start(&php, WORKERS);
    fpm.script("visit.php", include_str!("soak/visit.php"));
    // Killed are its siblings, so that one worker sees it all.
    let survivor = fpm.pids()[0];

    let mut memory = Memory::default();
    let (tally, troubles) =
        visits(&fpm, || stir(&fpm, &proxy, &mut server, &mut memory, survivor, length));

    let log = fpm.log();
    let crashed: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("exited on signal") && !line.contains("SIGKILL"))
        .collect();
    let (before, after) = memory.later(survivor);
    let Tally { acknowledged, foreign, damaged, lost, undead, .. } = tally;
    println!("soak of {seconds} s:\n{tally}");
    println!("crashed workers: {}", crashed.len());
    println!("what went wrong: {troubles:?}");
    println!("anonymous memory (KiB) of workers by age:\n{}", memory.by_age().trim_end());
    println!(
        "worker {survivor} from its half to three quarters: at most {before} KiB, then {after} KiB"
    );

    assert!(fpm.pids().contains(&survivor), "the worker that was not killed is gone:\n{log}");
    assert_eq!(crashed, [""; 0]);
    assert_eq!((foreign, damaged, lost, undead), (0, 0, 0, 0));
    assert!(troubles.len() > 5 && troubles.contains_key("Redis killed and started again"));
    assert!(acknowledged > 20 * seconds, "only {acknowledged} visits were acknowledged");
    let most = memory.most();
    assert!((1..CEILING_KIB).contains(&most), "a worker held {most} KiB");
    if seconds >= SETTLED {
        assert!(after < before + GROWTH_KIB, "grown from {before} to {after} KiB");
    }
}
