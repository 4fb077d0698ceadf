//! Child processes that do not outlive their owner.

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use crate::wait::poll;

/// Killed and reaped on Drop.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts `command`.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Self)
    }

    /// The number of the process.
    pub fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }

    /// The exit status, once there is one.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }

    /// Sends a signal, unless the child is known to be gone.
    pub fn signal(&mut self, signal: Signal) {
        // Not yet reaped, so the pid cannot belong to anybody else.
        if self.exited().is_none() {
            let _ = signal::kill(Pid::from_raw(self.pid()), signal);
        }
    }

    /// Stops the process' execution, and returns when it has stopped; false if
    /// it has not after ten seconds.
    #[must_use]
    pub fn pause(&mut self) -> bool {
        self.signal(Signal::SIGSTOP);
        let pid = self.pid();
        poll(Duration::from_secs(10), || stat(pid).is_none_or(|(state, _)| state == 'T'))
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&mut self) {
        self.signal(Signal::SIGCONT);
    }

    /// Kills it as `kill -9` does, and reaps it.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        // It fails only for a child that has ended, which wait() then reaps.
        let _ = self.0.kill();
        self.0.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// `kill -9`. A process that is gone already is fine.
pub fn kill(pid: i32) {
    let _ = signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
}

/// Whether the process runs; one that ended and waits for its parent does not.
pub fn alive(pid: i32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z')
}

/// The living children of `parent`. They are its own only while it lives or is
/// not yet reaped.
pub fn children_of(parent: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut children: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&pid| stat(pid).is_some_and(|(state, ppid)| ppid == parent && state != 'Z'))
        .collect();
    children.sort_unstable();
    children
}

/// State and parent of a process; the name before them may hold spaces and ')'.
fn stat(pid: i32) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}
