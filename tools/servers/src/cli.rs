//! What the command line asks for.

use servers::topology::{TOPOLOGIES, Topology, Wish};
use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = "\
Usage: scripts/servers --topology NAME [option...] [-- COMMAND...]
       scripts/servers --free-port | --closed-port

Starts redis-server (or valkey-server) on 127.0.0.1, on free ports, waits until
sessions can be kept there, and stops it again. Without COMMAND it prints what
it has started, as KEY=value lines, closes its standard output, and goes on
until its standard input ends or it gets SIGTERM or SIGINT. With COMMAND it runs
that, with these lines in its environment, until it ends. Nothing is left: also
where this program is killed, the servers end and their folder is removed.

  --topology NAME    tcp       one server
                     unix      one server, by its socket
                     tls       one server with TLS only
                     weights   two servers with weights 1 and 2
                     sentinel  a primary with two replicas, and three sentinels
                               that watch it as \"sessions\"
                     cluster   three primaries with one replica each
                     sentinel-tls, cluster-tls
                               the same with TLS only
  --user NAME        a Redis user, who may do all; needs --password
  --password WORD    that user's password, or else the default user's
  --database N       the database that the save path names
  --port N           the port of tcp or tls (default: a free one)
  --primaries N      how many primaries a cluster has (default: 3)
  --replicas N       how many replicas a primary has (default: 1 in a cluster,
                     2 with Sentinel)
  --plain            a port for plain text beside that for TLS
  --config LINE      a line for redis.conf of each server; may be repeated
  --free-port        print a port that no one listens on, and end
  --closed-port      the same, one that no server of this program will get
  -h, --help         this text

Printed: SERVERS_TOPOLOGY, SERVERS_HANDLER, SERVERS_SAVE_PATH (for
session.save_path), SERVERS_FOLDER (kept until the end), and with a space between
them SERVERS_PORTS, SERVERS_PIDS, SERVERS_SOCKETS; where there are any
SERVERS_SENTINEL_PORTS, SERVERS_SENTINEL_PIDS, SERVERS_PLAIN_PORTS; SERVERS_USER,
SERVERS_PASSWORD, SERVERS_DEFAULT_PASSWORD (the default user's, beside --user);
SERVERS_CA, SERVERS_CERT, SERVERS_KEY, SERVERS_CLIENT_CERT, SERVERS_CLIENT_KEY
(PEM files).

Environment: REDIS_SERVER names the server's program (default: redis-server or
valkey-server in PATH), TMPDIR another place for the folder than /tmp.
Waits at most 10 s for one server, a minute for several to agree.
Exit code: 0 the standard input has ended, 1 servers did not start or are gone,
2 wrong usage or a program is missing, 128+N ended by signal N; with COMMAND its
own, 127 if it was not found.
";

/// What is to be done.
pub enum Task {
    /// `--help`
    Help,
    /// `--free-port`
    FreePort,
    /// `--closed-port`
    ClosedPort,
    /// Start servers.
    Start {
        /// Which ones.
        wish: Wish,
        /// What runs beside them; empty for nothing.
        command: Vec<OsString>,
        /// For the process that keeps the servers: the folder that they are in.
        keeper: Option<PathBuf>,
    },
}

/// Reads the words after the program's name; the error says what is wrong with them.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Task, String> {
    let mut words = words.into_iter();
    let mut wish: Option<Wish> = None;
    let mut rest = Wish::new(Topology::Tcp);
    let (mut command, mut keeper) = (Vec::new(), None);
    while let Some(word) = words.next() {
        let word = word.into_string().map_err(|word| format!("not UTF-8: {word:?}"))?;
        let (name, attached) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (word.as_str(), None),
        };
        match name {
            "-h" | "--help" => return Ok(Task::Help),
            "--free-port" => return Ok(Task::FreePort),
            "--closed-port" => return Ok(Task::ClosedPort),
            "--plain" => {
                rest.plain = true;
                continue;
            }
            "--" => {
                command = words.by_ref().collect();
                if command.is_empty() {
                    return Err("there is no command after --".into());
                }
                continue;
            }
            _ => {}
        }
        let mut value = || -> Result<String, String> {
            if let Some(value) = attached.clone() {
                return Ok(value);
            }
            let next = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            next.into_string().map_err(|word| format!("{name}: not UTF-8: {word:?}"))
        };
        match name {
            "--topology" => {
                let topology = value()?;
                let known = Topology::named(&topology).ok_or_else(|| unknown(&topology))?;
                wish = Some(Wish::new(known));
            }
            "--user" => rest.user = Some(value()?),
            "--password" => rest.password = Some(value()?),
            "--database" => rest.database = Some(number(name, &value()?)?),
            "--port" => rest.port = Some(number(name, &value()?)?),
            "--primaries" => rest.primaries = Some(number(name, &value()?)?),
            "--replicas" => rest.replicas = Some(number(name, &value()?)?),
            "--config" => rest.config.push(value()?),
            "--keeper" => keeper = Some(PathBuf::from(value()?)),
            _ => return Err(format!("unknown option {word}")),
        }
    }
    let topology = wish.ok_or("--topology is missing")?.topology;
    let wish = Wish { topology, ..rest };
    check(&wish)?;
    Ok(Task::Start { wish, command, keeper })
}

fn check(wish: &Wish) -> Result<(), String> {
    if wish.user.is_some() && wish.password.is_none() {
        return Err("--user needs --password".into());
    }
    if wish.port.is_some() && !wish.topology.is_one_server() {
        return Err(format!("--port is for tcp and tls, not for {}", wish.topology.name()));
    }
    if wish.port == Some(0) {
        return Err("--port is a number above 0; without it a free port is taken".into());
    }
    if wish.primaries == Some(0) {
        return Err("--primaries is a number above 0".into());
    }
    let lines = [&wish.user, &wish.password].into_iter().flatten().chain(&wish.config);
    match lines.into_iter().find(|text| text.contains(['\n', '\r'])) {
        Some(_) => Err("a value has one line".into()),
        None => Ok(()),
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} is a number, not {value}"))
}

fn unknown(topology: &str) -> String {
    let names: Vec<&str> = TOPOLOGIES.iter().map(|(name, _)| *name).collect();
    format!("unknown topology {topology} (one of: {})", names.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(words: &[&str]) -> Result<(Wish, Vec<OsString>), String> {
        match parse(words.iter().map(OsString::from))? {
            Task::Start { wish, command, .. } => Ok((wish, command)),
            Task::Help | Task::FreePort | Task::ClosedPort => Err("something else".into()),
        }
    }

    #[test]
    fn options_take_their_values_in_both_forms_and_in_any_order() {
        let words = ["--port", "7000", "--topology=tls", "--config=maxmemory 1mb", "--", "a", "-h"];
        let (wish, command) = wish(&words).unwrap();
        assert_eq!(wish.topology, Topology::Tls);
        assert_eq!(wish.port, Some(7000));
        assert_eq!(wish.config, ["maxmemory 1mb"]);
        assert_eq!(command, ["a", "-h"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_reason() {
        for (words, reason) in [
            (&[][..], "--topology is missing"),
            (&["--topology"], "--topology needs a value"),
            (&["--topology", "ring"], "one of: tcp unix"),
            (&["--topology", "tcp", "--bogus"], "unknown option --bogus"),
            (&["--topology", "tcp", "--user", "u"], "--user needs --password"),
            (&["--topology", "cluster", "--port", "7000"], "not for cluster"),
            (&["--topology", "tcp", "--port", "70000"], "--port is a number, not 70000"),
            (&["--topology", "tcp", "--"], "no command after --"),
            (&["--topology", "tcp", "--config", "a\nb"], "one line"),
        ] {
            let error = wish(words).unwrap_err();
            assert!(error.contains(reason), "{words:?}: {error}");
        }
    }
}
