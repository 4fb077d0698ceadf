//! Sessions with locking on, and a side channel between PHP and the test;
//! `scene`: the same without PHP, step by step.
//!
//! The side channel is database 1 of the same server, over its unix socket, so
//! that neither a proxy nor the keys of database 0 show any of it.

pub mod scene;

use super::php::{Output, Php, Running};
use super::process::wait_until;
use super::servers::{Options, RedisServer};
use super::site;

/// PHP's end: `side()` asks Redis, `tell()` and `await()` meet the test or
/// another PHP, `count_up()` is the work that a lock protects.
pub const SIDE: &str = r#"
    function side_reply($stream) {
        $line = fgets($stream);
        if ($line === false) exit("the side channel hung up\n");
        $rest = substr($line, 1, -2);
        switch ($line[0]) {
            case '+': return $rest;
            case ':': return (int) $rest;
            case '$': return $rest < 0 ? null : substr(stream_get_contents($stream, $rest + 2), 0, -2);
            case '*':
                $list = [];
                for ($n = 0; $n < (int) $rest; $n++) $list[] = side_reply($stream);
                return $list;
            default: exit("side channel: $line");
        }
    }
    function side_in($database, ...$command) {
        static $streams = [];
        $mine = getmypid() . ":$database";
        if (!isset($streams[$mine])) {
            $streams[$mine] = stream_socket_client('unix://' . getenv('SIDE'));
            if ($database) side_in($database, 'SELECT', $database);
        }
        $packed = '*' . count($command) . "\r\n";
        foreach ($command as $word) $packed .= '$' . strlen($word) . "\r\n$word\r\n";
        fwrite($streams[$mine], $packed);
        return side_reply($streams[$mine]);
    }
    function side(...$command) { return side_in(1, ...$command); }
    function tell($what) { side('RPUSH', $what, '1'); }
    function await($what) { if (!side('BLPOP', $what, 20)) exit("waited in vain for $what\n"); }
    function count_up() { $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; }
    ob_start();
"#;

/// The session that most tests are about.
pub const SID: &str = "visitor";
pub const START: &str = "session_id('visitor'); session_start();";

pub fn server() -> RedisServer {
    RedisServer::start(Options::default())
}

/// PHP on the command line with locking on, whose scripts may begin with `SIDE`.
/// A lock is waited for up to 20 seconds.
pub fn php(server: &RedisServer, save_path: &str) -> Php {
    site::php(save_path)
        .ini("redis.session.locking_enabled", "1")
        .ini("redis.session.lock_retries", "1000")
        .env("SIDE", server.socket().to_str().unwrap())
}

/// The same, straight to the server.
pub fn direct(server: &RedisServer) -> Php {
    php(server, &format!("tcp://{}", server.addr()))
}

/// PHP with pcntl and posix, which are built in here and shared there.
pub fn with_processes(mut php: Php) -> Php {
    for (extension, function) in [("pcntl", "pcntl_fork"), ("posix", "posix_kill")] {
        let code = format!("echo (int) function_exists('{function}');");
        if Php::without_extension().run(&code).ok() != "1" {
            php = php.extension(extension);
        }
    }
    php
}

/// Runs code after the side channel's.
pub fn run(php: &Php, code: &str) -> Output {
    php.run(&format!("{SIDE} {code}"))
}

pub fn spawn(php: &Php, code: &str) -> Running {
    php.spawn(&format!("{SIDE} {code}"))
}

/// A PHP that holds the session until `go`, having counted one up.
pub fn hold(server: &RedisServer, php: &Php) -> Running {
    let holder = spawn(php, &format!("{START} count_up(); tell('held'); await('go');"));
    wait_for(server, "held");
    holder
}

/// A holder, and a waiter with `code` that has begun to wait.
pub fn contend(server: &RedisServer, php: &Php, code: &str) -> (Running, Running) {
    let holder = hold(server, &direct(server));
    let waiter = spawn(php, code);
    wait_until("it waits", || waiting(server) == 1);
    (holder, waiter)
}

#[track_caller]
pub fn assert_quiet(output: &Output) {
    assert!(!output.stdout.contains("Warning: "), "{output:?}");
}

/// The write found the lock gone, and said so.
#[track_caller]
pub fn assert_refused(output: &str) {
    let warnings = site::warnings(output);
    let has = |text: &str| warnings.iter().any(|warning| warning.contains(text));
    assert!(has("Session lock expired"), "{output}");
    assert!(has("Unable to write session: session lock not held"), "{output}");
}

/// The test's end of the side channel.
pub fn side(server: &RedisServer) -> redis::Connection {
    let mut connection = server.client();
    redis::cmd("SELECT").arg(1).exec(&mut connection).unwrap();
    connection
}

/// Lets an `await()` in PHP return.
pub fn tell(server: &RedisServer, what: &str) {
    redis::cmd("RPUSH").arg(what).arg(1).exec(&mut side(server)).unwrap();
}

/// Waits up to 20 seconds for a `tell()` in PHP.
#[track_caller]
pub fn wait_for(server: &RedisServer, what: &str) {
    let told: Option<(String, String)> =
        redis::cmd("BLPOP").arg(what).arg(20).query(&mut side(server)).unwrap();
    assert!(told.is_some(), "waited 20 s in vain for {what}");
}

/// How many requests wait in a queue for a lock at the server now.
pub fn waiting(server: &RedisServer) -> usize {
    let list: String = redis::cmd("CLIENT").arg("LIST").query(&mut server.client()).unwrap();
    let is_waiting =
        |line: &&str| line.contains(" cmd=blpop ") && line.contains(" name=redis_session ");
    list.lines().filter(is_waiting).count()
}

/// The key of a session; the lock's ends with `_LOCK`.
pub fn key(sid: &str) -> String {
    format!("PHPREDIS_SESSION:{sid}")
}

pub fn lock_key(sid: &str) -> String {
    key(sid) + "_LOCK"
}

/// What is stored of a session.
pub fn stored(server: &RedisServer, sid: &str) -> Option<String> {
    redis::cmd("GET").arg(key(sid)).query(&mut server.client()).unwrap()
}

/// Stores a session as another host would have.
pub fn store(server: &RedisServer, sid: &str, data: &str) {
    redis::cmd("SETEX").arg(key(sid)).arg(1440).arg(data).exec(&mut server.client()).unwrap();
}

/// The value of a session's lock.
pub fn lock(server: &RedisServer, sid: &str) -> Option<String> {
    redis::cmd("GET").arg(lock_key(sid)).query(&mut server.client()).unwrap()
}

/// Locks a session as phpredis would, for that many milliseconds.
pub fn lock_as_another(server: &RedisServer, sid: &str, ms: u64) {
    redis::cmd("SET")
        .arg(lock_key(sid))
        .arg("another-host|1")
        .arg("PX")
        .arg(ms)
        .exec(&mut server.client())
        .unwrap();
}

pub fn unlock(server: &RedisServer, sid: &str) {
    redis::cmd("DEL").arg(lock_key(sid)).exec(&mut server.client()).unwrap();
}
