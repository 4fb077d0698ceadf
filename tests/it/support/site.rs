//! One php-fpm worker whose sessions are ours: code runs in it visit by visit,
//! so that what an earlier visit left in the process meets the later ones.

use super::fpm::Fpm;
use super::php::Php;
use super::process::wait_until;
use std::fs;
use std::time::{Duration, Instant};

/// How the sentences begin that PHP's session module adds to a failure of any
/// save handler. They are not ours.
const OF_PHP: [&str; 3] = [
    "Failed to initialize storage module",
    "Failed to read session data",
    "Failed to write session data",
];

/// PHP with our save handler and this save path.
pub fn php(save_path: &str) -> Php {
    Php::new().ini("session.save_handler", "redis").ini("session.save_path", save_path)
}

/// A php-fpm with one child.
pub struct Site {
    pub fpm: Fpm,
}

/// What a visit got.
#[derive(Debug)]
pub struct Visit {
    pub body: String,
    /// Our own warnings, without PHP's framing.
    pub warnings: Vec<String>,
    pub took: Duration,
}

impl Site {
    pub fn start(php: &Php) -> Self {
        Self { fpm: Fpm::start(php, 1) }
    }

    /// Runs code (without `<?php`) with the session `sid`; none if it is empty.
    #[track_caller]
    pub fn visit(&self, sid: &str, code: &str) -> Visit {
        self.fpm.script("visit.php", code);
        let cookie = if sid.is_empty() { String::new() } else { format!("PHPSESSID={sid}") };
        let start = Instant::now();
        let body = self.fpm.get("visit.php", &cookie).unwrap().body;
        Visit { warnings: warnings(&body), body, took: start.elapsed() }
    }

    /// The child. It is the same one as long as it is not killed.
    pub fn pid(&self) -> i32 {
        self.fpm.pids()[0]
    }

    /// Waits until the kernel knows that the other side has closed the child's
    /// connection to this loopback port, and the child has not yet reacted.
    #[track_caller]
    pub fn await_close(&self, port: u16) {
        let table = format!("/proc/{}/net/tcp", self.pid());
        let half_closed = format!("0100007F:{port:04X} 08 ");
        wait_until("the other side has closed the connection", || {
            fs::read_to_string(&table).unwrap().contains(&half_closed)
        });
    }
}

impl Visit {
    /// What the code printed, where PHP had nothing to say.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(!self.body.contains("Warning: ") && !self.body.contains("Fatal"), "{}", self.body);
        self.body
    }

    /// The only warning of ours.
    #[track_caller]
    pub fn warning(&self) -> &str {
        assert_eq!(self.warnings.len(), 1, "{}", self.body);
        &self.warnings[0]
    }
}

/// The warnings of ours in what PHP printed, without PHP's framing.
pub fn warnings(output: &str) -> Vec<String> {
    let lines = output.lines().filter_map(|line| line.strip_prefix("Warning: "));
    let ours = lines.filter(|line| !OF_PHP.iter().any(|start| line.contains(start)));
    ours.map(|line| line.rsplit_once(" in /").map_or(line, |(text, _)| text).to_owned()).collect()
}
