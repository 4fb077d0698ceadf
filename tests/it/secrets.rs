//! Passwords, session ids and session data stay out of everything that is
//! written: pages, PHP's error log, ours, php-fpm's, phpinfo().
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::php::Php;
use crate::support::process::closed_port;
use crate::support::proxy::{Fault, RecordingProxy};
use crate::support::scripted::ScriptedServer;
use crate::support::servers::{ClientCert, Options, RedisServer};
use crate::support::site::{Site, php};
use tempfile::TempDir;

/// In every secret, whatever stands around it or escapes it.
const CORE: &str = "5f2c91e7";
const PASSWORD: &str = "p<5f2c91e7\"w";
const ENCODED: &str = "p%3C5f2c91e7%22w";
const SID: &str = "sid5f2c91e7sid";

/// A session's life, and what goes wrong in it goes to the page, to a handler,
/// to the log, and into an exception.
const LIFE: &str = "
    error_reporting(-1);
    ob_start();
    ini_set('session.use_strict_mode', (string) ($_GET['strict'] ?? 0));
    $visit = function () {
        session_id('sid5f2c91e7sid');
        try {
            if (@session_start() || session_start()) {
                $_SESSION['data'] = 'data-5f2c91e7';
                session_regenerate_id(true);
                $_SESSION['more'] = 'more-5f2c91e7';
                session_write_close();
                session_start();
                session_destroy();
            }
        } catch (Error $e) { echo $e; }
    };
    $visit();
    set_error_handler(function ($level, $text) { echo \"$text\\n\"; });
    $visit();
    foreach ([INFO_GENERAL, INFO_CONFIGURATION, INFO_MODULES] as $what) phpinfo($what);
";

/// Where everything is written that a visit leaves.
struct Files {
    dir: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { dir: TempDir::with_prefix("secrets-").unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// PHP that writes all there is to write.
    fn php(&self, save_path: &str, locking: bool) -> Php {
        php(save_path)
            .ini("log_errors", "1")
            .ini("log_errors_max_len", "0")
            .ini("error_log", self.path("php.log").to_str().unwrap())
            .ini("redis_session.log", self.path("ours.log").to_str().unwrap())
            .ini("redis_session.log_level", "trace")
            .ini("redis_session.failover_timeout", "0.2")
            .ini("redis.session.locking_enabled", if locking { "1" } else { "0" })
            .ini("redis.session.lock_retries", "2")
    }

    fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.path(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[track_caller]
fn assert_tells_no_secret(what: &str, text: &str) {
    let line = text.lines().find(|line| line.contains(CORE));
    assert_eq!(line, None, "{what}");
}

/// Save paths that do not work, with a secret in each place that may hold one.
fn save_paths(server: &RedisServer, dir: &Path) -> Vec<String> {
    let (addr, closed) = (server.addr(), format!("127.0.0.1:{}", closed_port()));
    let tls = format!("127.0.0.1:{}", server.tls_port());
    let ca = server.certs().ca.display();
    let key = dir.join("encrypted.key");
    encrypted_key(&key);
    let (cert, key) = (server.certs().client.display(), key.display());
    let forms = [
        format!("redis://user:{ENCODED}@HOST?timeout=1"),
        format!("redis://{ENCODED}@HOST"),
        format!("tcp://:{ENCODED}@HOST/3"),
        format!("tcp://HOST?auth={PASSWORD}&timeout=1"),
        format!("tcp://HOST?auth[]=user&auth[]={ENCODED}"),
        format!("tcp://HOST?auth[user]=user&auth[pass]={ENCODED}"),
        format!("HOST?auth={ENCODED}, HOST?auth={ENCODED}&weight=2"),
        format!("redis-sentinel://user:{ENCODED}@HOST/service?sentinel_auth={ENCODED}"),
        format!("redis-sentinel://HOST/service?sentinel_auth[]=user&sentinel_auth[]={ENCODED}"),
        format!("redis-cluster://user:{ENCODED}@HOST"),
        format!("seed[]=HOST&auth={ENCODED}"),
        format!("seed[]=HOST&auth[]=user&auth[]={ENCODED}&failover=error"),
        format!("rediss://user:{ENCODED}@HOST"),
        format!("tls://HOST?stream[passphrase]={ENCODED}&stream[cafile]={ca}"),
        format!("tls://HOST?auth={ENCODED}&stream[cafile]=/nowhere"),
    ];
    // Each form where there is a server, and in turns where there is not.
    let others = [tls.as_str(), &closed, "no-such-host.invalid"];
    let mut all: Vec<String> = forms
        .iter()
        .zip(others.iter().cycle())
        .flat_map(|(form, other)| [addr.as_str(), other].map(|host| form.replace("HOST", host)))
        .map(|save_path| hasty(&save_path))
        .collect();
    all.extend([
        format!("tls://{tls}?stream[cafile]={ca}&auth={ENCODED}"),
        format!(
            "tls://{tls}?stream[cafile]={ca}&stream[local_cert]={cert}&stream[local_pk]={key}&stream[passphrase]={ENCODED}"
        ),
        format!("unix:///nowhere/redis.sock?auth={ENCODED}"),
        // What nobody can read.
        format!("redis://user:{PASSWORD}@{addr}:port"),
        format!("redis+tls://user:{ENCODED}@{addr}"),
        format!("tcp://{addr}?auth=a&{ENCODED}=1"),
        format!("tcp://{addr}?password={ENCODED}"),
        format!("tcp://{addr}?timeout=never&auth={ENCODED}"),
        format!("tcp://{addr}?auth[]=1&auth[]=2&auth[]={ENCODED}"),
        format!("tcp://{addr}?weight=0&auth={ENCODED}"),
        format!("redis-sentinel://user:{ENCODED}@{addr}"),
        format!("seed=HOST&auth={ENCODED}"),
        format!("${{REDIS_{CORE}}}?auth={ENCODED}").replace(&format!("REDIS_{CORE}"), "REDIS_URL"),
        format!("tcp://{addr} tcp://user:{ENCODED}@{addr}:x"),
    ]);
    all
}

/// The same without waiting long.
fn hasty(save_path: &str) -> String {
    let mark = if save_path.contains(['?', '=']) { '&' } else { '?' };
    format!("{save_path}{mark}timeout=0.1&read_timeout=0.1")
}

fn encrypted_key(path: &Path) {
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-aes256", "-pass", &format!("pass:{PASSWORD}")])
        .arg("-out")
        .arg(path)
        .output()
        .unwrap();
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
}

/// A visit with each save path, in one process, which is quick.
fn visits(save_paths: &[String]) -> String {
    let list: Vec<String> = save_paths.iter().map(|path| format!("'{path}'")).collect();
    format!(
        "ob_start(); foreach ([{}] as $path) {{
             restore_error_handler();
             ini_set('session.save_path', $path);
             {LIFE}
         }}",
        list.join(",")
    )
}

#[test]
fn save_paths_that_fail_leave_no_password_anywhere() {
    let server = RedisServer::start(Options {
        requirepass: Some("another".into()),
        tls: Some(ClientCert::Optional),
        ..Options::default()
    });
    let files = Files::new();
    let save_paths = save_paths(&server, files.dir.path());
    for (locking, html) in [(false, "1"), (true, "0")] {
        let php = files.php("tcp://unused", locking).ini("html_errors", html);
        let code = format!("ini_set('html_errors', '{html}'); {}", visits(&save_paths));
        let output = php.run(&code);
        // Each has failed, and was told by PHP too.
        let told = output.stdout.matches("(path: ").count();
        assert!(told >= save_paths.len(), "{told} of {}", save_paths.len());
        for shown in ["auth=***", "user:***@"] {
            assert!(output.stdout.contains(shown), "{shown}: {}", output.stdout);
        }
        assert_tells_no_secret("page", &output.stdout);
        assert_tells_no_secret("stderr", &output.stderr);
    }
    assert!(files.read("php.log").matches("auth=***").count() > 20);
    assert_tells_no_secret("error_log", &files.read("php.log"));
    assert!(files.read("ours.log").contains("WRONGPASS"));
    assert_tells_no_secret("redis_session.log", &files.read("ours.log"));
}

/// What a server can do to a session that has been logged in to.
fn faults() -> Vec<Fault> {
    vec![
        Fault::None,
        Fault::CutAfterRequestBytes(3),
        Fault::CutAfterRequestBytes(300),
        Fault::CutAfterReplyBytes(0),
        Fault::CutAfterReplyBytes(150),
        Fault::ResetOnAccept,
        Fault::Stall,
        Fault::DuplicateReply,
        Fault::GarbageReply(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        Fault::GarbageReply(b"*1\r\n*1\r\n:5\r\n".to_vec()),
        Fault::GarbageReply(b"-NOPERM User may not\r\n".to_vec()),
    ]
}

/// Lets the server refuse what a visit asks for, for one reason after the other.
fn refuse_in_turn(set: &impl Fn(&[&str]), visit: &mut impl FnMut(&str)) {
    set(&["SET", &format!("PHPREDIS_SESSION:{SID}_LOCK"), "another", "PX", "60000"]);
    visit("a lock");
    set(&["FLUSHALL"]);
    set(&["LPUSH", &format!("PHPREDIS_SESSION:{SID}"), "another"]);
    visit("another type");
    set(&["FLUSHALL"]);
    set(&["CONFIG", "SET", "maxmemory", "1"]);
    visit("no memory");
    set(&["CONFIG", "SET", "maxmemory", "0"]);
    set(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    visit("no replicas");
    set(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    set(&["ACL", "SETUSER", "sessions", "-@write"]);
    visit("no permission");
    set(&["ACL", "SETUSER", "sessions", "+@write"]);
}

#[test]
fn servers_that_fail_leave_no_password_id_or_data_anywhere() {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    let files = Files::new();
    let path = |host: &str| {
        format!("tcp://{host}?auth[]=sessions&auth[]={ENCODED}&timeout=0.2&read_timeout=0.2")
    };
    let set = |command: &[&str]| {
        redis::cmd(command[0]).arg(&command[1..]).exec(&mut server.client()).unwrap();
    };
    set(&[
        "ACL",
        "SETUSER",
        "sessions",
        "on",
        &format!(">{PASSWORD}"),
        "~PHPREDIS_SESSION:*",
        "+@all",
    ]);
    let mut seen = String::new();
    for locking in [false, true] {
        let site = Site::start(&files.php(&path(&proxy.addr()), locking).ini("html_errors", "1"));
        site.fpm.script("life.php", LIFE);
        let mut visit = |what: &str| {
            for target in ["life.php", "life.php?strict=1"] {
                let response = site.fpm.get(target, &format!("PHPSESSID={SID}")).unwrap();
                assert_tells_no_secret(what, &response.body);
                assert_tells_no_secret(what, &response.stderr);
                seen.push_str(&response.body);
            }
        };
        for fault in faults() {
            proxy.set_fault(fault.clone());
            visit(&format!("{fault:?}"));
            proxy.clear_fault();
        }
        refuse_in_turn(&set, &mut visit);
        assert_tells_no_secret("php-fpm's log", &site.fpm.log());
    }
    for expected in [
        "Failed to acquire session lock",
        "auth[]=***",
        "no answer within",
        "WRONGTYPE",
        "OOM",
        "NOPERM",
        "NOREPLICAS",
    ] {
        assert!(seen.contains(expected), "{expected} was not brought about");
    }
    for name in ["php.log", "ours.log"] {
        let log = files.read(name);
        assert!(log.lines().count() > 50, "{name}: {log}");
        assert_tells_no_secret(name, &log);
    }
}

#[test]
fn servers_that_repeat_what_they_were_sent_leave_no_password_anywhere() {
    // As a proxy or another kind of server may do in its error message.
    let repeat = |words: &[String]| format!("-ERR what is {}?\r\n", words.join(" ")).into_bytes();
    let echo = ScriptedServer::start(repeat);
    let files = Files::new();
    let save_path = format!("tcp://127.0.0.1:{}?auth[]=user&auth[]={ENCODED}", echo.port());
    let output = files.php(&save_path, false).run(LIFE);
    assert!(output.stdout.contains("refused the login"), "{}", output.stdout);
    assert_tells_no_secret("page", &output.stdout);
    for name in ["php.log", "ours.log"] {
        assert_tells_no_secret(name, &files.read(name));
    }
}

#[test]
fn servers_without_a_command_leave_no_password_id_or_data_anywhere() {
    // Redis repeats the arguments of a command that it does not know.
    let commands = ["HELLO", "SETEX", "SET", "GETEX", "EVAL", "EVALSHA", "DEL"];
    let config = commands.map(|name| format!("rename-command {name} \"\"")).to_vec();
    let server = RedisServer::start(Options { config, ..Options::default() });
    let save_path = format!("tcp://{}?auth={ENCODED}", server.addr());
    let command = ["CONFIG", "SET", "requirepass", PASSWORD];
    redis::cmd(command[0]).arg(&command[1..]).exec(&mut server.client()).unwrap();
    let files = Files::new();
    for (locking, early_refresh) in [(false, "0"), (false, "1"), (true, "0")] {
        let php = files.php(&save_path, locking).ini("redis.session.early_refresh", early_refresh);
        let output = php.run(LIFE);
        assert!(output.stdout.contains("unknown command"), "{}", output.stdout);
        assert_tells_no_secret("page", &output.stdout);
    }
    for name in ["php.log", "ours.log"] {
        assert!(files.read(name).contains("unknown command"), "{name}");
        assert_tells_no_secret(name, &files.read(name));
    }
}

#[test]
fn php_s_own_information_shows_no_password() {
    let files = Files::new();
    let save_path = format!("tcp://127.0.0.1:{}?auth={PASSWORD}", closed_port());
    let php = files.php(&save_path, false);
    let binary = std::env::var_os("TEST_PHP_EXECUTABLE").unwrap_or_else(|| "php".into());
    for arguments in [&["-i"][..], &["--ri", "redis_session"], &["--ri", "session"], &["-m"]] {
        let mut command = php.command(binary.as_ref(), files.dir.path(), "");
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(printed.contains("redis_session") || printed.contains("auth=***"), "{printed}");
        assert_tells_no_secret("stdout", &printed);
        assert_tells_no_secret("stderr", &String::from_utf8_lossy(&output.stderr));
    }
}
