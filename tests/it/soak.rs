//! Many visitors for a long time, while all that can fail does: servers
//! restart, workers die, the network cuts, delays and repeats.
//!
//! What a visitor was told is stored must be there from then on, and each
//! session must hold what belongs to its id. `SOAK_SECONDS` says how long.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::fpm::Fpm;
use crate::support::proxy::{Fault, RecordingProxy};
use crate::support::servers::{Options, RedisServer};
use crate::support::site::php;

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

/// Numbers by chance.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        Self(getrandom::u64().unwrap() | 1)
    }

    /// From 0 to `sides` - 1.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What came of the visits.
#[derive(Debug, Default)]
struct Tally {
    acknowledged: u64,
    failed: u64,
    /// The content of another session.
    foreign: u64,
    /// A value that is not what was stored.
    damaged: u64,
    /// Acknowledged, and not there later.
    lost: u64,
    /// Destroyed, and there later.
    undead: u64,
    reasons: BTreeMap<String, u64>,
    slowest: Duration,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.failed += other.failed;
        self.foreign += other.foreign;
        self.damaged += other.damaged;
        self.lost += other.lost;
        self.undead += other.undead;
        self.slowest = self.slowest.max(other.slowest);
        for (reason, times) in other.reasons {
            *self.reasons.entry(reason).or_default() += times;
        }
    }
}

/// What one visitor knows: for each session the count it was told last. What
/// failed may have counted or not, so a count may be higher, never lower.
struct Visitor<'a> {
    fpm: &'a Fpm,
    name: String,
    known: BTreeMap<String, u64>,
    tally: Tally,
    dice: Dice,
    renewed: String,
    fresh: u64,
}

impl<'a> Visitor<'a> {
    fn new(fpm: &'a Fpm, number: usize) -> Self {
        Self {
            fpm,
            name: format!("v{number}"),
            known: BTreeMap::new(),
            tally: Tally::default(),
            dice: Dice::new(),
            renewed: String::new(),
            fresh: 0,
        }
    }

    /// Count and session id, if the visit was acknowledged.
    fn ask(&mut self, op: &str, id: &str) -> Option<(u64, String)> {
        let size = if op == "big" { self.dice.roll(1 << 20) } else { 0 };
        let target = format!("visit.php?op={op}&who={}&size={size}", self.name);
        let start = Instant::now();
        let answer = self.fpm.get(&target, &format!("PHPSESSID={id}"));
        self.tally.slowest = self.tally.slowest.max(start.elapsed());
        let answer = answer.map_or_else(|_| "failed no answer: killed".to_owned(), |a| a.body);
        let (result, rest) = answer.split_once(' ').unwrap_or((&answer, ""));
        match result {
            "ok" => {
                self.tally.acknowledged += 1;
                let (count, id) = rest.split_once(' ').unwrap();
                return Some((count.parse().unwrap(), id.to_owned()));
            }
            "foreign" | "damaged" => {
                println!("{op} of {id} by {}: {answer}", self.name);
                self.tally.foreign += u64::from(result == "foreign");
                self.tally.damaged += u64::from(result == "damaged");
            }
            "failed" => {
                self.tally.failed += 1;
                *self.tally.reasons.entry(kind(rest)).or_default() += 1;
            }
            _ => panic!("{op}: {answer}"),
        }
        None
    }

    /// Counts, or looks at the count.
    fn count(&mut self, op: &str, id: &str) {
        let Some((count, _)) = self.ask(op, id) else { return };
        let known = self.known.entry(id.to_owned()).or_default();
        let least = if matches!(op, "count" | "big") { *known + 1 } else { *known };
        self.tally.lost += least.saturating_sub(count);
        *known = count.max(least);
    }

    /// A session of one's own with a new id each time.
    fn renew(&mut self) {
        let id = self.renewed.clone();
        if id.is_empty() {
            self.fresh += 1;
            self.renewed = format!("renewed-{}-{}", self.name, self.fresh);
            let id = self.renewed.clone();
            return self.count("count", &id);
        }
        let known = self.known.remove(&id).unwrap_or_default();
        match self.ask("renew", &id) {
            Some((count, new)) => {
                self.tally.lost += (known + 1).saturating_sub(count);
                self.known.insert(new.clone(), count);
                self.renewed = new;
            }
            // Nobody knows which id it has now.
            None => self.renewed.clear(),
        }
    }

    fn destroy(&mut self) {
        self.fresh += 1;
        let id = format!("destroyed-{}-{}", self.name, self.fresh);
        if self.ask("count", &id).is_some() && self.ask("destroy", &id).is_some() {
            let found = self.ask("peek", &id).map_or(0, |(count, _)| count);
            self.tally.undead += u64::from(found != 0);
        }
    }

    fn visit(&mut self) {
        let shared = format!("shared-{}", self.dice.roll(SHARED as u64));
        let big = format!("big-{}", self.name);
        match self.dice.roll(20) {
            0..=8 => self.count("count", &shared),
            9..=11 => self.count("peek", &shared),
            12..=13 => self.count("read", &shared),
            14..=15 => self.count("big", &big),
            16 => self.count("read", &big),
            17..=18 => self.renew(),
            _ => self.destroy(),
        }
    }

    fn check_all(&mut self) {
        for id in self.known.keys().cloned().collect::<Vec<_>>() {
            let before = self.tally.failed;
            self.count("peek", &id);
            assert_eq!(self.tally.failed, before, "{id} cannot be read in the end");
        }
    }
}

/// A warning without what differs each time.
fn kind(warning: &str) -> String {
    let kind: String = warning.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
    kind.chars().take(110).collect()
}

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

/// KiB that are no file's.
fn memory(pid: i32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Memory of each worker, second by second of its life.
#[derive(Default)]
struct Memory(BTreeMap<i32, Vec<u64>>);

impl Memory {
    fn sample(&mut self, fpm: &Fpm) {
        for pid in fpm.pids() {
            self.0.entry(pid).or_default().extend(memory(pid));
        }
    }

    /// One line for some ages: how many workers came to it, and what they held.
    fn by_age(&self) -> String {
        let at = |age: usize| {
            let held: Vec<u64> = self.0.values().filter_map(|s| s.get(age).copied()).collect();
            let (least, most) = (held.iter().min()?, held.iter().max()?);
            let mean = held.iter().sum::<u64>() / held.len() as u64;
            let workers = held.len();
            Some(format!(
                "  {age:>4} s: {workers:>3} workers, mean {mean}, from {least} to {most}\n"
            ))
        };
        [1, 5, 10, 20, 30, 60, 120, 180, 240, 295, 600].into_iter().filter_map(at).collect()
    }

    /// The most that any worker held.
    fn most(&self) -> u64 {
        self.0.values().flatten().max().copied().unwrap_or_default()
    }

    /// The most that a worker held in the third quarter of its life, and in
    /// the last: large values make it go up and down.
    fn later(&self, pid: i32) -> (u64, u64) {
        let samples = &self.0[&pid];
        let (half, quarter) = (samples.len() / 2, samples.len() * 3 / 4);
        let most = |range: &[u64]| range.iter().max().copied().unwrap_or_default();
        (most(&samples[half..quarter]), most(&samples[quarter..]))
    }
}

#[test]
fn nothing_is_lost_or_mixed_up_while_everything_fails() {
    let seconds = env::var("SOAK_SECONDS").map_or(20, |text| text.parse().unwrap());
    let length = Duration::from_secs(seconds);
    let (restart_every, kill_every) =
        (Duration::from_secs(20).min(length / 3), Duration::from_secs(5).min(length / 8));
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

    let (done, mut memory, mut dice) = (AtomicBool::new(false), Memory::default(), Dice::new());
    let mut troubles: BTreeMap<&str, u64> = BTreeMap::new();
    let start = Instant::now();
    let tally = thread::scope(|scope| {
        let visitors: Vec<_> = (0..VISITORS)
            .map(|number| {
                let (fpm, done) = (&fpm, &done);
                scope.spawn(move || {
                    let mut visitor = Visitor::new(fpm, number);
                    while !done.load(Ordering::Relaxed) {
                        visitor.visit();
                    }
                    visitor
                })
            })
            .collect();
        let (mut restart, mut kill, mut sample) = (restart_every, kill_every, Duration::ZERO);
        while start.elapsed() < length {
            if start.elapsed() > sample {
                memory.sample(&fpm);
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
            let name = trouble(&mut dice, &proxy, &server);
            *troubles.entry(name).or_default() += 1;
            thread::sleep(Duration::from_millis(100 + dice.roll(300)));
        }
        done.store(true, Ordering::Relaxed);
        let mut tally = Tally::default();
        for visitor in visitors {
            let mut visitor = visitor.join().unwrap();
            visitor.check_all();
            tally += visitor.tally;
        }
        tally
    });

    let log = fpm.log();
    let crashed: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("exited on signal") && !line.contains("SIGKILL"))
        .collect();
    let (before, after) = memory.later(survivor);
    let Tally { acknowledged, failed, foreign, damaged, lost, undead, .. } = tally;
    println!("soak of {seconds} s: {acknowledged} visits acknowledged, {failed} failed");
    println!("wrong session: {foreign}, damaged: {damaged}, lost: {lost}, undead: {undead}");
    println!(
        "crashed workers: {}, slowest visit: {:.1} s",
        crashed.len(),
        tally.slowest.as_secs_f64()
    );
    println!("what went wrong: {troubles:?}");
    println!("anonymous memory (KiB) of workers by age:\n{}", memory.by_age().trim_end());
    println!(
        "worker {survivor} from its half to three quarters: at most {before} KiB, then {after} KiB"
    );
    println!("why visits failed:");
    tally.reasons.iter().for_each(|(reason, times)| println!("  {times:>5} x {reason}"));

    assert!(fpm.pids().contains(&survivor), "the worker that nobody killed has gone:\n{log}");
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
