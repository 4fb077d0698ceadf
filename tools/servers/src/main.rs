//! Starts a topology of Redis servers, says how to reach it, and stops it: see `--help`.

mod cli;
mod keeper;
mod supervisor;

use cli::Task;
use servers::{Error, port};
use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().skip(1).collect();
    match cli::parse(words.iter().cloned()) {
        Ok(Task::Help) => {
            print!("{}", cli::HELP);
            ExitCode::SUCCESS
        }
        Ok(Task::FreePort) => print_port(port::free()),
        Ok(Task::ClosedPort) => print_port(port::closed()),
        Ok(Task::Start { wish, keeper: Some(folder), .. }) => keeper::run(wish, folder),
        Ok(Task::Start { command, keeper: None, .. }) => supervisor::run(&words, &command),
        Err(reason) => {
            eprintln!("servers: {reason} (see --help)");
            ExitCode::from(WRONG_USAGE)
        }
    }
}

fn print_port(port: servers::Result<u16>) -> ExitCode {
    match port {
        Ok(port) => {
            println!("{port}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("servers: {error}");
            exit_code(&error)
        }
    }
}

fn exit_code(error: &Error) -> ExitCode {
    match error {
        Error::Missing(_) => ExitCode::from(WRONG_USAGE),
        Error::PortTaken(_) | Error::Failed(_) => ExitCode::FAILURE,
    }
}
