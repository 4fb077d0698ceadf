//! Child processes that never outlive their owner, and waiting for conditions.

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// Asks `ready` again and again until it says yes; false once `limit` has passed.
pub fn poll(limit: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if ready() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Waits up to ten seconds for `ready`, then panics and names `what` was missing.
#[track_caller]
pub fn wait_until(what: &str, ready: impl FnMut() -> bool) {
    assert!(poll(Duration::from_secs(10), ready), "waited 10 s in vain until {what}");
}

/// A loopback port that was free a moment ago; somebody may take it first.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A free loopback port for a server that goes away and comes back: below those
/// that the kernel gives to outgoing connections, so that none takes it.
pub fn server_port() -> u16 {
    loop {
        let mut bytes = [0; 2];
        getrandom::fill(&mut bytes).unwrap();
        let port = 10_000 + u16::from_ne_bytes(bytes) % 22_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A child process that is killed and reaped on Drop.
pub struct Process(Child);

impl Process {
    pub fn spawn(command: &mut Command) -> Self {
        match command.spawn() {
            Ok(child) => Self(child),
            Err(error) => panic!("cannot run {:?}: {error}", command.get_program()),
        }
    }

    pub fn pid(&self) -> i32 {
        self.0.id().try_into().unwrap()
    }

    /// The exit status, once there is one.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    /// Sends a signal, unless the child is known to be gone.
    pub fn signal(&mut self, signal: Signal) {
        // Not yet reaped, so the pid cannot belong to anybody else.
        if self.exited().is_none() {
            signal::kill(Pid::from_raw(self.pid()), signal).unwrap();
        }
    }

    /// Stops the process' execution, and returns when it has stopped.
    pub fn pause(&mut self) {
        self.signal(Signal::SIGSTOP);
        let pid = self.pid();
        wait_until("the process has stopped", || stat(pid).is_none_or(|(state, _)| state == 'T'));
    }

    pub fn resume(&mut self) {
        self.signal(Signal::SIGCONT);
    }

    pub fn kill(&mut self) -> ExitStatus {
        // It fails only for a child that has ended, which wait() then reaps.
        let _ = self.0.kill();
        self.0.wait().unwrap()
    }

    /// Kills its children as well, which would outlive it.
    pub fn kill_family(&mut self) -> ExitStatus {
        if self.exited().is_none() {
            children_of(self.pid()).into_iter().for_each(kill);
        }
        self.kill()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
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
    let mut children: Vec<i32> = fs::read_dir("/proc")
        .unwrap()
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
