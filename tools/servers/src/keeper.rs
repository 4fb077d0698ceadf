//! The process that owns the servers. It lives as long as its standard input, which is a pipe
//! from the supervisor: so it ends however that one ends, also by `kill -9`.

use crate::exit_code;
use servers::folder::Folder;
use servers::topology::{Running, Wish};
use servers::{Result, wait};
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

/// Starts the servers, prints their environment and an empty line, and keeps
/// them until the standard input ends. They are in `folder`, which it removes.
pub fn run(mut wish: Wish, folder: PathBuf) -> ExitCode {
    let unwanted = thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        wait::give_up();
    });
    wish.parent = Some(folder.clone());
    let folder = Folder::of_another(folder);
    match start(wish, &folder) {
        Ok(running) => {
            let _ = unwanted.join();
            drop(running);
            ExitCode::SUCCESS
        }
        Err(_) if wait::given_up() => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("servers: {error}");
            exit_code(&error)
        }
    }
}

fn start(wish: Wish, folder: &Folder) -> Result<Running> {
    let running = Running::start(wish)?;
    let mut lines = format!("SERVERS_FOLDER={}\n", folder.path().display());
    for (name, value) in running.environment() {
        let _ = writeln!(lines, "{name}={value}");
    }
    // Whoever does not read it any more has closed our standard input, too.
    let _ = io::stdout().write_all((lines + "\n").as_bytes());
    Ok(running)
}
