//! Child processes that never outlive their owner, and waiting for conditions.

pub use ::servers::process::{alive, children_of, kill};
pub use ::servers::wait::poll;

use std::ops::{Deref, DerefMut};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// Waits up to ten seconds for `ready`, then panics and names `what` was missing.
#[track_caller]
pub fn wait_until(what: &str, ready: impl FnMut() -> bool) {
    assert!(poll(Duration::from_secs(10), ready), "waited 10 s in vain until {what}");
}

/// A port of 127.0.0.1 for a server; another process may take it first.
pub fn free_port() -> u16 {
    ::servers::port::free().unwrap()
}

/// A port of 127.0.0.1 that refuses connections, and that no server gets.
pub fn closed_port() -> u16 {
    ::servers::port::closed().unwrap()
}

/// A child process that is killed and reaped on Drop.
pub struct Process(::servers::process::Process);

impl Process {
    pub fn spawn(command: &mut Command) -> Self {
        match ::servers::process::Process::spawn(command) {
            Ok(child) => Self(child),
            Err(error) => panic!("cannot run {:?}: {error}", command.get_program()),
        }
    }

    pub fn kill(&mut self) -> ExitStatus {
        self.0.kill().unwrap()
    }

    /// Kills its children as well, which would outlive it.
    pub fn kill_family(&mut self) -> ExitStatus {
        if self.exited().is_none() {
            children_of(self.pid()).into_iter().for_each(kill);
        }
        self.kill()
    }
}

impl Deref for Process {
    type Target = ::servers::process::Process;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
