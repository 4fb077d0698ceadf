//! Where events go: a file, standard error or syslog.
//!
//! An event tells the operation, how long it took, how many bytes of session
//! data, which host, and what came of it. Never an id, data, token or
//! password. Off by default; then an event costs one comparison.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nix::unistd::{Uid, User};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::error::Error;

/// The local syslog daemon's socket.
const SYSLOG: &str = "/dev/log";
/// Facility "user", severity "info".
const SYSLOG_PRIORITY: u8 = 14;

static STARTED: OnceLock<()> = OnceLock::new();

/// Whether [`start`] has been called in this process.
pub fn is_started() -> bool {
    STARTED.get().is_some()
}

/// Starts logging to `target`, once in a process: a path, `stderr` or
/// `syslog`. `level` is off, error, warn, info, debug or trace.
///
/// # Errors
/// Words for the operator; nothing is logged then.
pub fn start(target: &str, level: &str) -> Result<(), String> {
    if STARTED.set(()).is_err() {
        return Ok(());
    }
    let filter = LevelFilter::from_str(level).map_err(|_| {
        format!("redis_session.log_level is '{level}': use off, error, warn, info, debug or trace")
    })?;
    if target.is_empty() || filter == LevelFilter::OFF {
        return Ok(());
    }
    let writer = match target {
        "stderr" => BoxMakeWriter::new(io::stderr),
        "syslog" => BoxMakeWriter::new(Syslog::connect().map_err(|e| {
            format!("redis_session.log is syslog, but {SYSLOG} cannot be reached: {e}")
        })?),
        path => {
            let file = OpenOptions::new().append(true).create(true).open(path);
            let file = file.map_err(|error| cannot_open(path, &error))?;
            BoxMakeWriter::new(Arc::new(file))
        }
    };
    let subscriber = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_max_level(filter)
        .with_ansi(false)
        .with_target(false)
        .finish();
    // It fails only where this process has another subscriber already.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

/// Why there is no log, and for whom the file must be writable: a worker of
/// PHP-FPM or Apache is not the root that started the service.
fn cannot_open(path: &str, error: &io::Error) -> String {
    let what = format!("cannot open redis_session.log {path}: {error}");
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("{what}: allow {} to write to it (PHP runs as that user here)", this_user())
        }
        io::ErrorKind::NotFound => format!(
            "{what}: create its folder, and allow {} to write there (PHP runs as that user here)",
            this_user()
        ),
        _ => what,
    }
}

/// Whom the system asks about permissions: the effective user, by name where it has one.
fn this_user() -> String {
    let uid = Uid::effective();
    match User::from_uid(uid) {
        Ok(Some(user)) => format!("the user {}", user.name),
        _ => format!("the user with the id {uid}"),
    }
}

/// Times one operation, if anybody wants to know.
pub struct Stopwatch(Option<Instant>);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self(tracing::enabled!(tracing::Level::DEBUG).then(Instant::now))
    }

    /// Tells what came of `operation` on `host`: how many bytes of session
    /// data went with it, or why it failed.
    pub fn tell(
        self,
        operation: &'static str,
        host: impl Fn() -> String,
        outcome: Result<usize, &Error>,
    ) {
        let elapsed = self.0.map_or(Duration::ZERO, |start| start.elapsed());
        let us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        match outcome {
            Ok(bytes) => tracing::debug!(operation, host = %host(), us, bytes, outcome = "ok"),
            Err(error) => tracing::warn!(operation, host = %host(), us, outcome = %error),
        }
    }
}

/// One datagram a line, as syslog daemons expect it.
#[derive(Clone)]
struct Syslog(Arc<UnixDatagram>);

impl Syslog {
    fn connect() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(SYSLOG)?;
        socket.set_nonblocking(true)?; // a full daemon must not stop a request
        Ok(Self(Arc::new(socket)))
    }
}

impl Write for Syslog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut message =
            format!("<{SYSLOG_PRIORITY}>redis_session[{}]: ", std::process::id()).into_bytes();
        message.extend_from_slice(line.trim_ascii_end());
        self.0.send(&message)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Syslog {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
