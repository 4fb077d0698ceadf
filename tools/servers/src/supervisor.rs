//! The process that the caller sees: it starts the keeper of the servers, tells the caller what
//! the keeper says, and ends it. Should the keeper be killed, it kills the servers itself.

use crate::exit_code;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::unistd::{Pid, close};
use servers::folder::Folder;
use servers::wait::poll;
use servers::{Error, Result};
use std::env;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// How long the keeper, or a command that was sent a signal, may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

enum Event {
    /// The servers can be used; what is to be told of them.
    Ready(Vec<(String, String)>),
    /// The keeper has ended, or never got as far.
    KeeperEnded,
    /// Our standard input has ended.
    InputEnded,
    Signal(Signal),
    CommandEnded(Option<ExitStatus>),
}

/// Keeps servers for as long as they are wanted. `words` is what the keeper is
/// told; `command` is what runs beside the servers, or empty.
pub fn run(words: &[OsString], command: &[OsString]) -> ExitCode {
    let folder = match Folder::new(None, "redis-session-servers") {
        Ok(folder) => folder,
        Err(error) => return failed(&error),
    };
    let (events, inbox) = channel();
    let mut keeper = match Keeper::start(words, &folder) {
        Ok(keeper) => keeper,
        Err(error) => return failed(&error),
    };
    // Not before, as a child inherits what is blocked; and not after any other
    // thread has started, which would get the signals.
    let signals = take_signals(events.clone());
    keeper.listen(events.clone());
    if command.is_empty() {
        let events = events.clone();
        thread::spawn(move || {
            let _ = io::stdin().read_to_end(&mut Vec::new());
            let _ = events.send(Event::InputEnded);
        });
    }
    let code = serve(&inbox, &events, command, signals);
    let kept = keeper.end();
    // What the keeper could not start it has explained itself.
    code.unwrap_or(kept.and_then(|status| status.code()).map_or(ExitCode::FAILURE, as_code))
}

/// From the start to the end; nothing where the keeper ended before the servers worked.
fn serve(
    inbox: &Receiver<Event>,
    events: &Sender<Event>,
    command: &[OsString],
    signals: SigSet,
) -> Option<ExitCode> {
    let lines = match inbox.recv() {
        Ok(Event::Ready(lines)) => lines,
        Ok(Event::Signal(signal)) => return Some(by_signal(signal)),
        Ok(Event::InputEnded) => {
            eprintln!("servers: the standard input has ended: keep it open, or give a COMMAND");
            return Some(ExitCode::FAILURE);
        }
        Ok(Event::KeeperEnded | Event::CommandEnded(_)) | Err(_) => return None,
    };
    let Some((program, arguments)) = command.split_first() else {
        tell(&lines);
        return Some(match inbox.recv() {
            Ok(Event::InputEnded) => ExitCode::SUCCESS,
            Ok(Event::Signal(signal)) => by_signal(signal),
            Ok(_) | Err(_) => lost(),
        });
    };
    // A child inherits which signals are blocked. One that comes just now ends
    // us, and the keeper notices.
    let _ = signals.thread_unblock();
    let child = Command::new(program).args(arguments).envs(lines).spawn();
    let _ = signals.thread_block();
    match child {
        Ok(child) => Some(accompany(child, inbox, events.clone())),
        Err(error) => {
            eprintln!("servers: cannot run {}: {error}", program.to_string_lossy());
            Some(as_code(if error.kind() == ErrorKind::NotFound { 127 } else { 126 }))
        }
    }
}

/// Waits for the command, and passes signals on to it.
fn accompany(mut child: Child, inbox: &Receiver<Event>, events: Sender<Event>) -> ExitCode {
    let pid = Pid::from_raw(child.id().cast_signed());
    thread::spawn(move || events.send(Event::CommandEnded(child.wait().ok())));
    let mut signalled = None;
    loop {
        let event = match signalled {
            None => inbox.recv().ok(),
            Some(_) => inbox.recv_timeout(PATIENCE).ok(),
        };
        match event {
            Some(Event::CommandEnded(status)) => {
                let code = status.and_then(|s| s.code().or(s.signal().map(|signal| 128 + signal)));
                return signalled.map_or(as_code(code.unwrap_or(1)), by_signal);
            }
            Some(Event::Signal(signal)) => {
                let _ = kill(pid, signal);
                signalled = signalled.or(Some(signal));
            }
            Some(Event::KeeperEnded) => {
                let _ = kill(pid, Signal::SIGTERM);
                return lost();
            }
            Some(Event::Ready(_) | Event::InputEnded) => {}
            None => {
                let _ = kill(pid, Signal::SIGKILL);
                return signalled.map_or(ExitCode::FAILURE, by_signal);
            }
        }
    }
}

/// Prints the lines, and closes the standard output: who reads it reads to its end.
fn tell(lines: &[(String, String)]) {
    let text: String = lines.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let mut stdout = io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    // What is opened next gets the lowest number that is free: that of the
    // standard output, which must not become the number of anything else.
    let _ = close(stdout.as_raw_fd());
    let _ = OpenOptions::new().write(true).open("/dev/null").map(IntoRawFd::into_raw_fd);
}

/// Blocks the signals that ask us to end, and sends them as events.
fn take_signals(events: Sender<Event>) -> SigSet {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    let _ = signals.thread_block();
    thread::spawn(move || {
        while let Ok(signal) = signals.wait() {
            if events.send(Event::Signal(signal)).is_err() {
                break;
            }
        }
    });
    signals
}

/// The child that owns the servers, in a process group with them and nothing else.
struct Keeper(Child);

impl Keeper {
    fn start(words: &[OsString], folder: &Folder) -> Result<Self> {
        let cannot = |error: io::Error| Error::failed("cannot start the keeper", error);
        let child = Command::new(env::current_exe().map_err(cannot)?)
            .arg("--keeper")
            .arg(folder.path())
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(cannot)?;
        Ok(Self(child))
    }

    fn listen(&mut self, events: Sender<Event>) {
        if let Some(stdout) = self.0.stdout.take() {
            thread::spawn(move || listen(stdout, &events));
        }
    }

    /// Ends it, and kills what it may have left.
    fn end(&mut self) -> Option<ExitStatus> {
        drop(self.0.stdin.take());
        let pid = Pid::from_raw(self.0.id().cast_signed());
        poll(PATIENCE, || !servers::process::alive(pid.as_raw()));
        // Not yet reaped, so the group cannot be another one's.
        let _ = killpg(pid, Signal::SIGKILL);
        self.0.wait().ok()
    }
}

fn listen(stdout: ChildStdout, events: &Sender<Event>) {
    let mut lines = BufReader::new(stdout).lines().map_while(io::Result::ok);
    let mut told = Vec::new();
    for line in lines.by_ref() {
        match line.split_once('=') {
            Some((name, value)) => told.push((name.to_owned(), value.to_owned())),
            None => {
                let _ = events.send(Event::Ready(std::mem::take(&mut told)));
            }
        }
    }
    let _ = events.send(Event::KeeperEnded);
}

fn failed(error: &Error) -> ExitCode {
    eprintln!("servers: {error}");
    exit_code(error)
}

fn lost() -> ExitCode {
    eprintln!("servers: the process that keeps the servers has ended, and they with it");
    ExitCode::FAILURE
}

fn by_signal(signal: Signal) -> ExitCode {
    as_code(128 + signal as i32)
}

fn as_code(code: i32) -> ExitCode {
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}
