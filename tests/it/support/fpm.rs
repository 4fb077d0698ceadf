//! A real php-fpm with a fixed number of children, on a unix socket.
//!
//! `PHP_FPM` names another binary.

use super::fastcgi::{self, Response};
use super::php::Php;
use super::process::{Process, children_of, kill, poll, wait_until};
use nix::sys::signal::Signal;
use std::env;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;

/// Where a php-fpm is looked for: what is not a path is looked up in PATH.
const BINARIES: [&str; 4] =
    ["php-fpm", "php-fpm8.2", "/usr/sbin/php-fpm8.2", "/usr/local/sbin/php-fpm"];

pub struct Fpm {
    master: Process,
    children: usize,
    dir: TempDir,
}

impl Fpm {
    /// Returns once all children serve; panics with the log if they never do.
    pub fn start(php: &Php, children: usize) -> Self {
        Self::start_with(php, children, "")
    }

    /// The same with more lines for the pool's configuration.
    pub fn start_with(php: &Php, children: usize, pool: &str) -> Self {
        let dir = TempDir::with_prefix("fpm-").unwrap();
        let path = dir.path();
        fs::write(path.join("fpm.conf"), config(&dir, children) + pool).unwrap();
        let log = File::create(path.join("log")).unwrap();
        let master = Process::spawn(
            php.command(&binary(), path, "")
                .args(["--nodaemonize", "--allow-to-run-as-root"])
                .arg("--fpm-config")
                .arg(path.join("fpm.conf"))
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log),
        );
        let mut fpm = Self { master, children, dir };
        poll(Duration::from_secs(10), || fpm.serves() || fpm.master.exited().is_some());
        assert!(fpm.serves(), "php-fpm does not start:\n{}", fpm.log());
        fpm
    }

    /// Puts a PHP script (without `<?php`) where requests find it.
    pub fn script(&self, name: &str, code: &str) {
        fs::write(self.dir.path().join(name), format!("<?php\n{code}")).unwrap();
    }

    /// Requests a script, as `page.php?a=b`, with the Cookie header's value or
    /// an empty one. Fails when the child dies before it has answered.
    pub fn get(&self, target: &str, cookie: &str) -> io::Result<Response> {
        let (name, query) = target.split_once('?').unwrap_or((target, ""));
        let script = self.dir.path().join(name);
        fastcgi::get(UnixStream::connect(self.socket())?, &script, query, cookie)
    }

    /// For a web server's `fastcgi_pass`.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("fpm.sock")
    }

    /// Where `script` puts files.
    pub fn root(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    pub fn master_pid(&self) -> i32 {
        self.master.pid()
    }

    /// The children that live now.
    pub fn pids(&self) -> Vec<i32> {
        children_of(self.master.pid())
    }

    /// Kills one child as `kill -9` does, and waits for its successor.
    pub fn kill_child(&self, pid: i32) {
        assert!(self.pids().contains(&pid), "{pid} is not one of ours");
        kill(pid);
        wait_until("another child took its place", || {
            let pids = self.pids();
            !pids.contains(&pid) && pids.len() == self.children
        });
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn serves(&self) -> bool {
        self.pids().len() == self.children && UnixStream::connect(self.socket()).is_ok()
    }
}

impl Drop for Fpm {
    /// Lets the children finish and shut PHP down, and kills what then remains.
    fn drop(&mut self) {
        self.master.signal(Signal::SIGQUIT);
        poll(Duration::from_secs(3), || self.master.exited().is_some());
        self.master.kill_family();
    }
}

fn config(dir: &TempDir, children: usize) -> String {
    let dir = dir.path().display();
    // Root has to name a user; others may not.
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let user = if is_root { "user = root\ngroup = root" } else { "" };
    format!(
        "[global]\n\
         error_log = {dir}/log\n\
         [www]\n\
         {user}\n\
         listen = {dir}/fpm.sock\n\
         listen.backlog = 511\n\
         pm = static\n\
         pm.max_children = {children}\n\
         clear_env = no\n\
         catch_workers_output = yes\n\
         request_terminate_timeout = 30s\n"
    )
}

fn binary() -> PathBuf {
    if let Some(binary) = env::var_os("PHP_FPM") {
        return binary.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = env::split_paths(&path).collect();
    BINARIES
        .iter()
        .flat_map(|name| dirs.iter().map(move |dir| dir.join(name)))
        .find(|candidate| candidate.is_file())
        .expect("php-fpm is installed, or PHP_FPM names it")
}
