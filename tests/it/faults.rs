//! Every fault of a network or a server, in every call of PHP's save handler:
//! what comes of it, byte by byte, is the table in docs/faults.md.
//!
//! `UPDATE_FAULTS=1 cargo test --test it faults::` writes that file anew.
//!
//! - `calls`: the calls of the save handler, the table's columns
//! - `rows`: the faults, its rows
//! - `fixture`: PHP, a proxy and a server, struck by one fault at a time
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod calls;
mod fixture;
mod rows;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use calls::{CALLS, Call};
use fixture::Fixture;
use rows::{ROWS, Row};

const TIMEOUT: Duration = Duration::from_millis(600);
/// Two timeouts (a call may be followed by another one that fails as well),
/// and what a busy machine takes. Anything longer is a hang.
const LONGEST: Duration = Duration::from_secs(5);
/// How long a lock lasts if its request is never heard of again.
const LEASE: Duration = Duration::from_secs(10);
/// PHP and the extension need some 30 MB; a server that announces 10^9 of
/// something gets no memory for it.
const MOST_MEMORY_KB: u64 = 96 << 10;
/// What the sessions have to live at first: as many digits in milliseconds
/// from the beginning to the end of the test, as a read's answer has them and
/// is cut at each of its bytes.
const LIFETIME: &str = "900";
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");

/// A table of what came of each fault in each call.
fn table(locked: bool) -> String {
    let fixture = Fixture::new(locked);
    let child = fixture.site.pid();
    let calls: Vec<&Call> = CALLS.iter().filter(|call| locked || !call.locked_only).collect();
    fixture.reset();
    fixture.assert_in_order("at first");
    let mut text = String::from("| |");
    for call in &calls {
        write!(text, " {} |", call.name).unwrap();
    }
    writeln!(text, "\n|---|{}", "---|".repeat(calls.len())).unwrap();
    // Each script is known to the server when its bytes are counted.
    for call in &calls {
        fixture.round_trip(call);
    }
    let round_trips: Vec<_> = calls.iter().map(|call| fixture.round_trip(call)).collect();
    for Row { name, faults, once } in &ROWS {
        write!(text, "| {name} |").unwrap();
        for (call, &(sent, got)) in calls.iter().zip(&round_trips) {
            let mut outcomes = BTreeSet::new();
            for fault in faults(sent, got) {
                let what = format!("{name} ({fault:.40?}) in {}, locked: {locked}", call.name);
                let (visit, replaced) = fixture.strike(call, fault, *once);
                fixture.assert_in_order(&what);
                let outcome =
                    catch_unwind(AssertUnwindSafe(|| fixture.outcome(call, &visit, replaced)));
                outcomes.insert(outcome.unwrap_or_else(|_| panic!("{what}: {visit:?}")));
                assert_eq!(fixture.site.pid(), child, "{what}: a crash");
            }
            let outcomes: Vec<_> = outcomes.into_iter().collect();
            write!(text, " {} |", outcomes.join("; or ")).unwrap();
        }
        text.push('\n');
    }
    let peak = fixture.peak_memory_kb();
    println!("locked: {locked}, peak of the worker's memory: {peak} kB");
    assert!(peak < MOST_MEMORY_KB, "{peak} kB");
    text
}

#[test]
fn no_fault_in_any_call_crashes_hangs_shows_wrong_data_or_loses_a_write_silently() {
    let [plain, locked] = thread::scope(|scope| {
        [false, true].map(|locked| scope.spawn(move || table(locked))).map(|t| t.join().unwrap())
    });
    let found =
        format!("{INTRODUCTION}\n## Without locking\n\n{plain}\n## With locking\n\n{locked}");
    if std::env::var_os("UPDATE_FAULTS").is_some() {
        fs::create_dir_all(Path::new(TABLE).parent().unwrap()).unwrap();
        fs::write(TABLE, &found).unwrap();
    }
    let known = fs::File::open(TABLE).unwrap();
    let known: Vec<String> = BufReader::new(known).lines().map(Result::unwrap).collect();
    for (number, (known, found)) in known.iter().zip(found.lines()).enumerate() {
        assert_eq!(known, found, "docs/faults.md, line {}", number + 1);
    }
    assert_eq!(known.len(), found.lines().count());
}

const INTRODUCTION: &str = "\
# What each fault leads to

What comes of a call of PHP's save handler when the network or the server fails in the middle of it. Each run of the tests
compares this page with what happens; `UPDATE_FAULTS=1 cargo test --test it faults::` writes it. There is real PHP in
php-fpm, a real Redis, and a proxy between them that does the damage during one call. \"claim\" is a read that had to wait
and takes the lock, after BLPOP has told it that it is its turn. A cut is made at every byte of an answer, and at every
boundary of a request. The next visitor of the same worker is then served without a warning and with their own data.
No fault is left out because of its result.

| outcome | meaning |
|---|---|
| as usual | nothing is noticed |
| recovered | nothing is noticed: the connection is replaced, the call repeated |
| warned, not started | a warning; `session_start()` returns false, nothing is stored. If the server had given a lock by then, and could not say so, the lock ends with its lease |
| warned, not done | a warning; what is stored is as it was |
| warned, but done | a warning, because the client cannot know; the server had done it |
| believed: there is no such session | null is how a server says that |
";
