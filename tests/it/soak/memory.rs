//! What the workers hold in memory, second by second.

use std::collections::BTreeMap;
use std::fs;

use crate::support::fpm::Fpm;

/// KiB that are no file's.
fn memory(pid: i32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Memory of each worker, second by second of its life.
#[derive(Default)]
pub(super) struct Memory(BTreeMap<i32, Vec<u64>>);

impl Memory {
    pub(super) fn sample(&mut self, fpm: &Fpm) {
        for pid in fpm.pids() {
            self.0.entry(pid).or_default().extend(memory(pid));
        }
    }

    /// One line for some ages: how many workers came to it, and what they held.
    pub(super) fn by_age(&self) -> String {
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
    pub(super) fn most(&self) -> u64 {
        self.0.values().flatten().max().copied().unwrap_or_default()
    }

    /// The most that a worker held in the third quarter of its life, and in
    /// the last: large values make it go up and down.
    pub(super) fn later(&self, pid: i32) -> (u64, u64) {
        let samples = &self.0[&pid];
        let (half, quarter) = (samples.len() / 2, samples.len() * 3 / 4);
        let most = |range: &[u64]| range.iter().max().copied().unwrap_or_default();
        (most(&samples[half..quarter]), most(&samples[quarter..]))
    }
}
