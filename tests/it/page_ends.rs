//! The ways in which a page can end, in each kind of PHP: when it has, no
//! lock, no handler and no connection of it is left.
//!
//! PHP does not promise to call what a save handler would release them in.
//! `PHP_CGI` names another php-cgi.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::fpm::Fpm;
use crate::support::locking::{SID, php, server, store};
use crate::support::php::Php;
use crate::support::process::{Process, free_port, poll, wait_until};
use crate::support::servers::RedisServer;
use tempfile::TempDir;

const PAGE: &str = include_str!("page_ends/page.php");
/// How the extension counts what is open, in the process that serves.
const COUNT: &str = "ob_start(); (new ReflectionExtension('redis_session'))->info(); $info = ob_get_clean();
    echo preg_match('~Open handlers of this process\\W*(?:</td><td class=\"v\">|=> )(\\d+)~', $info, $m) ? $m[1] : $info;";
/// What a page leaves is gone then. Each lock's lease is ten seconds or more.
const SOON: Duration = Duration::from_secs(2);

const HOWS: [&str; 5] = ["throw", "exit", "fatal", "memory", "time"];

#[derive(Debug)]
struct Case {
    how: &'static str,
    place: &'static str,
    proxied: bool,
    before: &'static str,
}

/// Every way to end at every place, and ways to get there.
fn cases(has_finish: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    let native = ["page", "shutdown", "destructor", "output"];
    let proxied =
        ["open", "create_sid", "validate", "read", "write", "written", "destroy", "close"];
    for how in HOWS {
        for place in native {
            cases.push(Case { how, place, proxied: false, before: "" });
            cases.push(Case { how, place, proxied: true, before: "" });
        }
        for place in proxied {
            cases.push(Case { how, place, proxied: true, before: "" });
        }
        if has_finish {
            cases.push(Case { how, place: "finished", proxied: false, before: "" });
            cases.push(Case { how, place: "finished", proxied: true, before: "" });
        }
    }
    let ways = ["abort", "reset", "regenerate", "regenerate and delete", "write and start"];
    for how in ["return", "throw", "exit", "fatal"] {
        for before in ways {
            cases.push(Case { how, place: "page", proxied: false, before });
            cases.push(Case { how, place: "page", proxied: true, before });
        }
        for place in ["page", "read", "explicit write"] {
            cases.push(Case { how, place, proxied: true, before: "keep open" });
        }
        cases.push(Case { how, place: "page", proxied: false, before: "refused" });
        cases.push(Case { how, place: "page", proxied: true, before: "unregistered" });
    }
    cases
}

/// A kind of PHP that serves pages.
trait Serves {
    /// Runs code (without `<?php`) as one page, and returns what it printed.
    fn serve(&self, code: &str) -> String;
    /// Whether one process serves them all.
    const LASTS: bool;
}

/// php-fpm with one worker.
impl Serves for Fpm {
    const LASTS: bool = true;

    fn serve(&self, code: &str) -> String {
        self.script("page.php", code);
        self.get("page.php", "").unwrap().body
    }
}

/// `php -S`.
struct BuiltIn {
    port: u16,
    dir: TempDir,
    _process: Process,
}

impl BuiltIn {
    fn start(php: &Php) -> Self {
        let (dir, port) = (TempDir::new().unwrap(), free_port());
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let process = Process::spawn(
            php.command(&executable(), dir.path(), "")
                .args(["-S", &format!("127.0.0.1:{port}"), "-t"])
                .arg(dir.path())
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log),
        );
        wait_until("php -S serves", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { port, dir, _process: process }
    }
}

impl Serves for BuiltIn {
    const LASTS: bool = true;

    fn serve(&self, code: &str) -> String {
        fs::write(self.dir.path().join("page.php"), format!("<?php\n{code}")).unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(b"GET /page.php HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned())
    }
}

/// php-cgi: a process for each page.
struct Cgi(Php);

impl Serves for Cgi {
    const LASTS: bool = false;

    fn serve(&self, code: &str) -> String {
        let dir = TempDir::new().unwrap();
        let script = dir.path().join("page.php");
        fs::write(&script, format!("<?php\n{code}")).unwrap();
        let binary = std::env::var_os("PHP_CGI").unwrap_or_else(|| "php-cgi".into());
        let output = self
            .0
            .command(Path::new(&binary), dir.path(), "")
            .env("REDIRECT_STATUS", "1")
            .env("REQUEST_METHOD", "GET")
            .env("SCRIPT_FILENAME", &script)
            .output()
            .unwrap();
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned())
    }
}

/// PHP's command line.
impl Serves for Php {
    const LASTS: bool = false;

    fn serve(&self, code: &str) -> String {
        self.run(code).stdout
    }
}

fn executable() -> std::path::PathBuf {
    std::env::var_os("TEST_PHP_EXECUTABLE").unwrap_or_else(|| "php".into()).into()
}

fn configured(server: &RedisServer) -> Php {
    php(server, &format!("tcp://{}", server.addr()))
        .ini("session.use_strict_mode", "1")
        .ini("session.use_cookies", "0")
        .ini("redis.session.lock_retries", "25")
        .ini("memory_limit", "64M")
}

fn config(server: &RedisServer, name: &str, value: &str) {
    redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec(&mut server.client()).unwrap();
}

/// How many connections PHP has to the server.
fn connections(server: &RedisServer) -> usize {
    let list: String = redis::cmd("CLIENT").arg("LIST").query(&mut server.client()).unwrap();
    list.lines().filter(|line| line.contains(" name=redis_session ")).count()
}

fn locks(server: &RedisServer) -> Vec<String> {
    server.keys().into_iter().filter(|key| key.ends_with("_LOCK")).collect()
}

/// Plays every case, and returns what the ones that went wrong have left.
fn play<P: Serves>(server: &RedisServer, php: &P, has_finish: bool) -> Vec<String> {
    let dir = TempDir::new().unwrap();
    let mark = dir.path().join("mark");
    let ordinary = format!("session_id('{SID}'); session_start(); $_SESSION['n'] = 1;");
    assert_eq!(php.serve(&ordinary), "");
    let most = usize::from(P::LASTS);
    assert_eq!(connections(server), most);
    let mut wrong = Vec::new();
    let cases = cases(has_finish);
    println!("{} ways", cases.len());
    for case in &cases {
        let Case { how, place, proxied, before } = case;
        redis::cmd("FLUSHALL").exec(&mut server.client()).unwrap();
        store(server, SID, "n|i:1;");
        let _ = fs::remove_file(&mark);
        let page = php.serve(&format!(
            "$how = '{how}'; $where = '{place}'; $proxied = {proxied}; $before = '{before}'; \
             $redis = 'tcp://{}'; $mark = '{}';\n{PAGE}",
            server.addr(),
            mark.display(),
        ));
        // After fastcgi_finish_request() the answer comes before that.
        let ended = poll(SOON, || mark.exists());
        assert!(ended, "{case:?} did not come there: {page}");
        config(server, "maxmemory", "0");
        if P::LASTS {
            let open = php.serve(COUNT);
            if open != "0" {
                wrong.push(format!("{case:?} leaves handlers open: {open}"));
            }
        }
        let start = Instant::now();
        if !poll(SOON, || locks(server).is_empty()) {
            wrong.push(format!("{case:?} leaves {:?}", locks(server)));
        }
        if !poll(SOON, || connections(server) <= most) {
            wrong.push(format!("{case:?} leaves {} connections", connections(server)));
        }
        let next = php.serve(&ordinary);
        if !next.is_empty() || start.elapsed() > SOON {
            wrong.push(format!("{case:?} bothers the next visit: {next}"));
        }
    }
    wrong
}

#[track_caller]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_way_to_end_a_page_in_php_fpm_leaves_anything() {
    let server = server();
    let fpm = Fpm::start(&configured(&server), 1);
    let pid = fpm.pids();
    assert_none(&play(&server, &fpm, true));
    assert_eq!(fpm.pids(), pid, "the worker has died");
}

#[test]
fn no_way_to_end_a_page_in_the_built_in_server_leaves_anything() {
    let server = server();
    assert_none(&play(&server, &BuiltIn::start(&configured(&server)), false));
}

#[test]
fn no_way_to_end_a_page_in_php_cgi_leaves_anything() {
    let server = server();
    assert_none(&play(&server, &Cgi(configured(&server)), false));
}

#[test]
fn no_way_to_end_a_script_on_the_command_line_leaves_anything() {
    let server = server();
    assert_none(&play(&server, &configured(&server), false));
}
