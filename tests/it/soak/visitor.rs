//! What one visitor does, knows and is told.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use super::SHARED;
use crate::support::fpm::Fpm;

/// Numbers by chance.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new() -> Self {
        Self(getrandom::u64().unwrap() | 1)
    }

    /// From 0 to `sides` - 1.
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What came of the visits.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) acknowledged: u64,
    failed: u64,
    /// The content of another session.
    pub(super) foreign: u64,
    /// A value that is not what was stored.
    pub(super) damaged: u64,
    /// Acknowledged, and not there later.
    pub(super) lost: u64,
    /// Destroyed, and there later.
    pub(super) undead: u64,
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

impl Display for Tally {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, failed, foreign, damaged, lost, undead, .. } = self;
        let slowest = self.slowest.as_secs_f64();
        writeln!(f, "{acknowledged} visits acknowledged, {failed} failed")?;
        writeln!(
            f,
            "wrong session: {foreign}, damaged: {damaged}, lost: {lost}, undead: {undead}"
        )?;
        write!(f, "slowest visit: {slowest:.1} s; why visits failed:")?;
        self.reasons.iter().try_for_each(|(reason, times)| write!(f, "\n  {times:>5} x {reason}"))
    }
}

/// What one visitor knows: for each session the count it was told last. What
/// failed may have counted or not, so a count may be higher, never lower.
pub(super) struct Visitor<'a> {
    fpm: &'a Fpm,
    name: String,
    known: BTreeMap<String, u64>,
    pub(super) tally: Tally,
    dice: Dice,
    renewed: String,
    fresh: u64,
}

impl<'a> Visitor<'a> {
    pub(super) fn new(fpm: &'a Fpm, number: usize) -> Self {
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
            // No one knows which id it has now.
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

    pub(super) fn visit(&mut self) {
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

    pub(super) fn check_all(&mut self) {
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
