//! Visitors that come all the time: PHP workers that count in shared sessions,
//! and notice each count that is lost and each session that is not theirs.
//!
//! Each worker has a count of its own in each session. Nobody else changes it,
//! so it may only be what the worker left there, or one more where a write
//! that failed was carried out after all.

use super::php::{Output, Php, Running};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// One line for each request: begin and end (s), session, what came of it, and
/// its count or the warnings.
const WORKER: &str = r#"
[$ids, $worker, $stop] = [json_decode(getenv('IDS')), getenv('WORKER'), getenv('STOP')];
set_error_handler(function ($level, $text) use (&$warnings) { $warnings[] = $text; return true; });
for ($turn = (int) $worker; !file_exists($stop); $turn++) {
    $id = $ids[$turn % count($ids)];
    $warnings = [];
    session_id($id);
    $begin = microtime(true);
    $result = 'failed';
    $count = 0;
    if (session_start()) {
        $known = isset($_SESSION['id']);
        $result = $known && $_SESSION['id'] !== $id ? 'foreign' : 'counted';
        $_SESSION['id'] = $id;
        $count = $_SESSION["worker $worker"] = 1 + ($_SESSION["worker $worker"] ?? 0);
        if (!session_write_close() && $result === 'counted') {
            $result = 'failed';
        }
    }
    if ($warnings && $result === 'counted') {
        $result = 'failed';
    }
    $detail = $warnings ? strtr(implode(' | ', $warnings), "\n", ' ') : $count;
    printf("%.6f %.6f %s %s %s\n", $begin, microtime(true), $id, $result, $detail);
    usleep(5000);
}
echo "done\n";
"#;

/// Workers at work.
pub struct Load {
    workers: Vec<Running>,
    ids: Vec<String>,
    dir: TempDir,
}

/// What all workers have seen.
#[derive(Debug, Default)]
pub struct Report {
    /// Acknowledged by a write without a warning.
    pub acknowledged: usize,
    /// Of those, the ones that were gone later.
    pub lost: usize,
    /// Requests that saw the content of another session.
    pub foreign: usize,
    /// Begin (s since 1970) and warnings of the requests that failed.
    pub failures: Vec<(f64, String)>,
    /// Begin, end of each request, in order of their ends.
    pub requests: Vec<(f64, f64)>,
    /// The last count that each worker was told is stored, by session.
    pub counts: BTreeMap<(String, usize), u64>,
}

impl Load {
    /// Begins with `workers` processes of `php`, which has the save path.
    pub fn start(php: &Php, workers: usize, ids: &[String]) -> Self {
        let dir = TempDir::with_prefix("load-").unwrap();
        let stop = dir.path().join("stop");
        let list = format!("[\"{}\"]", ids.join("\",\""));
        let spawn = |worker: usize| {
            php.clone()
                .env("IDS", &list)
                .env("WORKER", &worker.to_string())
                .env("STOP", stop.to_str().unwrap())
                .timeout(Duration::from_secs(180))
                .spawn(WORKER)
        };
        Self { workers: (0..workers).map(spawn).collect(), ids: ids.to_vec(), dir }
    }

    /// Whether each worker has finished this many requests.
    pub fn has_done(&self, requests: usize) -> bool {
        self.workers.iter().all(|worker| worker.stdout().lines().count() >= requests)
    }

    /// Whether each worker has begun a request after this and counted.
    pub fn has_counted_since(&self, begin: SystemTime) -> bool {
        let begin = seconds(begin);
        self.workers.iter().all(|worker| {
            let output = worker.stdout();
            let mut lines = output.lines().rev().filter_map(Line::parse);
            lines.any(|line| line.begin > begin && line.result == "counted")
        })
    }

    /// The last lines of each worker, for a message.
    pub fn last_requests(&self) -> String {
        let outputs = self.workers.iter().map(Running::stdout);
        let ends = outputs.map(|output| {
            let lines: Vec<_> = output.lines().rev().take(3).collect();
            lines.join("\n  ")
        });
        ends.collect::<Vec<_>>().join("\n")
    }

    /// Ends the workers; panics if one has crashed. `stored` tells what a
    /// session holds in the end.
    #[track_caller]
    pub fn stop(self, stored: impl Fn(&str) -> String) -> Report {
        File::create(self.dir.path().join("stop")).unwrap();
        let mut report = Report::default();
        for (worker, running) in self.workers.into_iter().enumerate() {
            report.add(worker, running.wait());
        }
        for id in &self.ids {
            let data = stored(id);
            for ((_, worker), count) in report.counts.iter().filter(|((of, _), _)| of == id) {
                let found = count_in(&data, *worker);
                report.lost += usize::try_from(count.saturating_sub(found)).unwrap();
            }
        }
        report.requests.sort_by(|a, b| a.1.total_cmp(&b.1));
        report
    }
}

impl Report {
    #[track_caller]
    fn add(&mut self, worker: usize, output: Output) {
        assert!(output.status.success(), "a worker has crashed: {output:#?}");
        assert!(output.stdout.ends_with("done\n"), "a worker has stopped: {output:#?}");
        for line in output.stdout.lines().filter_map(Line::parse) {
            self.requests.push((line.begin, line.end));
            match line.result {
                "counted" => {
                    self.acknowledged += 1;
                    let count: u64 = line.detail.parse().unwrap();
                    let last = self.counts.entry((line.id.to_owned(), worker)).or_default();
                    self.lost += usize::try_from((*last + 1).saturating_sub(count)).unwrap();
                    *last = count;
                }
                "foreign" => self.foreign += 1,
                _ => self.failures.push((line.begin, line.detail.to_owned())),
            }
        }
    }

    /// The longest request that ended after `since`.
    pub fn slowest(&self, since: SystemTime) -> Duration {
        let since = seconds(since);
        let times = self.requests.iter().filter(|(_, end)| *end > since);
        Duration::from_secs_f64(times.map(|(begin, end)| end - begin).fold(0.0, f64::max))
    }

    /// The different warnings, with how often and when (s after `since`) first.
    pub fn warnings(&self, since: SystemTime) -> String {
        let mut kinds: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
        for (begin, text) in &self.failures {
            let kind = kinds.entry(text).or_insert((0, begin - seconds(since)));
            kind.0 += 1;
        }
        let lines =
            kinds.iter().map(|(text, (n, at))| format!("\n  {n} x from {at:+.2} s: {text}"));
        lines.collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, lost, foreign, failures, .. } = self;
        let failed = failures.len();
        write!(f, "{acknowledged} acknowledged, {failed} failed, {lost} lost, {foreign} foreign")
    }
}

struct Line<'a> {
    begin: f64,
    end: f64,
    id: &'a str,
    result: &'a str,
    detail: &'a str,
}

impl<'a> Line<'a> {
    /// None for the last line, and for one that is not complete yet.
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.splitn(5, ' ');
        Some(Self {
            begin: words.next()?.parse().ok()?,
            end: words.next()?.parse().ok()?,
            id: words.next()?,
            result: words.next()?,
            detail: words.next()?,
        })
    }
}

/// A worker's count in a stored session, as PHP's serializer writes it.
fn count_in(data: &str, worker: usize) -> u64 {
    let start = format!("worker {worker}|i:");
    let rest = data.split_once(&start).map_or("0;", |(_, rest)| rest);
    rest.split(';').next().unwrap().parse().unwrap()
}

/// Since 1970.
pub fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}
