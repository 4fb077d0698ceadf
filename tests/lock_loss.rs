//! How a lock is lost, kept, waited for and given up, as PHP sees it.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::locking::{
    SIDE, direct, key, lock, lock_as_another, lock_key, php, store, stored, tell, unlock, wait_for,
    waiting, with_processes,
};
use support::php::{Output, Php, Running};
use support::process::{poll, wait_until};
use support::servers::{Options, RedisServer};
use support::site::warnings;

const SID: &str = "visitor";
const SECOND: Duration = Duration::from_secs(1);
/// For what takes no time: only so long that a busy machine can do it.
const SOON: Duration = Duration::from_secs(5);
const START: &str = "session_id('visitor'); session_start();";

fn server() -> RedisServer {
    RedisServer::start(Options::default())
}

/// Runs code after the side channel's.
fn run(php: &Php, code: &str) -> Output {
    php.run(&format!("{SIDE} {code}"))
}

fn spawn(php: &Php, code: &str) -> Running {
    php.spawn(&format!("{SIDE} {code}"))
}

/// A PHP that holds the session until `go`, having counted one up.
fn hold(server: &RedisServer, php: &Php) -> Running {
    let holder = spawn(php, &format!("{START} count_up(); tell('held'); await('go');"));
    wait_for(server, "held");
    holder
}

#[track_caller]
fn assert_refused(output: &str) {
    let warnings = warnings(output);
    let has = |text: &str| warnings.iter().any(|warning| warning.contains(text));
    assert!(has("Session lock expired"), "{output}");
    assert!(has("Unable to write session: session lock not held"), "{output}");
}

#[track_caller]
fn assert_quiet(output: &Output) {
    assert!(!output.stdout.contains("Warning: "), "{output:?}");
}

/// PTTL of the lock: below 0 where there is none.
fn lock_ends_in(server: &RedisServer) -> i64 {
    redis::cmd("PTTL").arg(lock_key(SID)).query(&mut server.client()).unwrap()
}

// ------------------------------------------------------------------ lost locks

#[test]
fn a_write_after_the_lock_expired_is_refused_and_what_the_next_one_wrote_survives() {
    let server = server();
    let slow = hold(&server, &direct(&server).ini("redis.session.lock_expire", "1"));
    wait_until("the lock has expired", || lock(&server, SID).is_none());
    let next = run(&direct(&server), &format!("{START} $_SESSION['n'] = 100;"));
    assert_quiet(&next);
    tell(&server, "go");
    assert_refused(&slow.wait().ok());
    assert_eq!(stored(&server, SID).unwrap(), "n|i:100;");
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn a_write_without_the_lock_is_refused_whoever_has_it_and_the_lock_stays_theirs() {
    let server = server();
    let php = direct(&server);
    store(&server, SID, "n|i:7;");

    let holder = hold(&server, &php);
    unlock(&server, SID);
    tell(&server, "go");
    assert_refused(&holder.wait().ok());

    let holder = hold(&server, &php);
    lock_as_another(&server, SID, 60_000);
    tell(&server, "go");
    assert_refused(&holder.wait().ok());
    assert_eq!(lock(&server, SID).as_deref(), Some("another-host|1"));
    assert_eq!(stored(&server, SID).unwrap(), "n|i:7;");
}

#[test]
fn an_unchanged_session_loses_nothing_with_its_lock_and_nothing_is_said() {
    let server = server();
    store(&server, SID, "n|i:7;");
    let code = format!("{START} tell('held'); await('go');");
    let holder = spawn(&direct(&server), &code);
    wait_for(&server, "held");
    unlock(&server, SID);
    tell(&server, "go");
    let output = holder.wait();
    assert_quiet(&output);
    assert_eq!(stored(&server, SID).unwrap(), "n|i:7;");
}

#[test]
fn a_user_error_handler_that_throws_when_the_lock_is_lost_ends_the_session_in_good_order() {
    let server = server();
    let code = format!(
        "set_error_handler(static function ($level, $text) {{ throw new Exception($text); }});
         {START} count_up(); side_in(0, 'DEL', '{}');
         try {{ session_write_close(); echo 'not reached'; }}
         catch (Exception $e) {{ echo get_class($e), ' ', $e->getMessage(), ' '; }}
         echo session_status() === PHP_SESSION_NONE ? 'closed' : 'open';
         set_error_handler(null);
         {START} count_up(); var_dump(session_write_close());",
        lock_key(SID)
    );
    let output = run(&direct(&server), &code).ok();
    assert!(output.starts_with("Exception "), "{output}");
    assert!(output.contains("Session lock expired"), "{output}");
    assert!(output.ends_with("closedbool(true)\n"), "{output}");
    assert_eq!(stored(&server, SID).unwrap(), "n|i:1;");
    assert_eq!(server.keys(), [key(SID)]);
}

// ------------------------------------------------------------------ kept locks

#[test]
fn a_lease_of_the_time_limit_is_renewed_while_the_request_lives() {
    let server = server();
    // PHP's command line has no limit but the one set here, in seconds of CPU.
    let code = format!("set_time_limit(1); {START} count_up(); tell('held'); await('go');");
    let holder = spawn(&direct(&server), &code);
    wait_for(&server, "held");
    let value = lock(&server, SID).unwrap();
    let start = Instant::now();
    while start.elapsed() < 3 * SECOND {
        let left = lock_ends_in(&server);
        assert!((1..=1000).contains(&left), "it ends in {left} ms");
        assert_eq!(lock(&server, SID).as_ref(), Some(&value));
        std::thread::sleep(Duration::from_millis(20));
    }
    tell(&server, "go");
    let output = holder.wait();
    assert_quiet(&output);
    assert_eq!(stored(&server, SID).unwrap(), "n|i:1;");
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn a_chosen_lease_is_not_renewed() {
    let server = server();
    let holder = hold(&server, &direct(&server).ini("redis.session.lock_expire", "2"));
    let mut before = lock_ends_in(&server);
    assert!((1..=2000).contains(&before));
    wait_until("the lock has expired", || {
        let now = lock_ends_in(&server);
        assert!(now <= before, "it was renewed");
        before = now;
        now < 0
    });
    drop(holder);
}

#[test]
fn a_holder_that_was_killed_blocks_the_next_for_ten_seconds_at_most() {
    let server = server();
    let killed = Instant::now();
    hold(&server, &direct(&server)).kill();
    assert!(lock(&server, SID).is_some());
    let output = run(&direct(&server), &format!("{START} count_up();"));
    assert_quiet(&output);
    let took = killed.elapsed();
    assert!(took < 10 * SECOND + SOON, "{took:?}");
    assert_eq!(stored(&server, SID).unwrap(), "n|i:1;");
}

#[test]
fn a_proxy_that_writes_twice_keeps_the_lock_until_it_closes_and_both_writes_land() {
    let server = server();
    let key = key(SID);
    let code = format!(
        "class Proxy extends SessionHandler {{
             public function write($id, $data): bool {{
                 $first = parent::write($id, 'first');
                 echo side_in(0, 'GET', '{key}'), ' ', (bool) side_in(0, 'GET', '{key}_LOCK');
                 return $first && parent::write($id, $data);
             }}
         }}
         session_set_save_handler(new Proxy()); {START} count_up();
         var_dump(session_write_close());"
    );
    let output = run(&direct(&server), &code).ok();
    assert_eq!(output, "first 1bool(true)\n");
    assert_eq!(stored(&server, SID).unwrap(), "n|i:1;");
    assert_eq!(server.keys(), [key]);
}

#[test]
fn several_sessions_of_one_request_are_locked_one_after_another() {
    let server = server();
    let code = "
        foreach (['a', 'b', 'a', 'c'] as $name) {
            session_id($name); session_start(); count_up();
            $locks = array_filter(side_in(0, 'KEYS', '*'), fn ($key) => str_ends_with($key, '_LOCK'));
            echo implode(',', $locks), ' ';
            session_write_close(); $_SESSION = [];
        }
        session_id('a'); session_start(); session_abort(); session_id('b'); session_start();";
    let output = run(&direct(&server), code).ok();
    let locks = ["a", "b", "a", "c"].map(lock_key).join(" ");
    assert_eq!(output.trim(), locks);
    assert_eq!(stored(&server, "a").unwrap(), "n|i:2;");
    assert_eq!(server.keys(), ["a", "b", "c"].map(key));
}

#[test]
fn exit_a_fatal_error_and_an_exception_let_the_lock_go() {
    let server = server();
    for end in ["exit(0);", "no_such_function();", "throw new Exception('x');", "session_abort();"]
    {
        run(&direct(&server), &format!("{START} count_up(); {end}"));
        assert!(lock(&server, SID).is_none(), "{end}");
        assert!(server.keys().iter().all(|k| *k == key(SID)), "{end}: {:?}", server.keys());
    }
    let memory = format!("{START} ini_set('memory_limit', '8M'); $x = str_repeat('x', 64 << 20);");
    run(&direct(&server), &memory);
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn after_a_fork_the_lock_is_the_parent_s_alone() {
    let server = server();
    let code = format!(
        "{START} count_up();
         if (!($child = pcntl_fork())) {{
             $_SESSION['n'] = 'of the child'; session_write_close();
             fwrite(STDERR, ob_get_clean()); exit(0);
         }}
         pcntl_waitpid($child, $status);
         echo side_in(0, 'GET', '{}') ? 'locked ' : 'unlocked ';
         var_dump(session_write_close());",
        lock_key(SID)
    );
    let output = run(&with_processes(direct(&server)), &code);
    let refused = "Unable to write session: session lock not held";
    assert!(output.stderr.contains(refused), "{output:?}");
    assert_eq!(output.stdout, "locked bool(true)\n", "{output:?}");
    assert_eq!(stored(&server, SID).unwrap(), "n|i:1;");
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn a_child_can_wait_for_the_lock_that_its_parent_holds() {
    let server = server();
    let code = format!(
        "{START} count_up();
         if (!($child = pcntl_fork())) {{
             session_abort(); {START} count_up(); session_write_close(); ob_clean(); exit(0);
         }}
         tell('forked'); await('go'); session_write_close();
         pcntl_waitpid($child, $status); echo $status;"
    );
    let parent = spawn(&with_processes(direct(&server)), &code);
    wait_for(&server, "forked");
    wait_until("the child waits", || waiting(&server) == 1);
    tell(&server, "go");
    assert_eq!(parent.wait().ok(), "0");
    assert_eq!(stored(&server, SID).unwrap(), "n|i:2;");
    assert_eq!(server.keys(), [key(SID)]);
}

// --------------------------------------------------------------------- waiting

/// A holder, and a waiter with `code` that has begun to wait.
fn contend(server: &RedisServer, php: &Php, code: &str) -> (Running, Running) {
    let holder = hold(server, &direct(server));
    let waiter = spawn(php, code);
    wait_until("it waits", || waiting(server) == 1);
    (holder, waiter)
}

#[test]
fn sigterm_ends_a_process_that_waits() {
    let server = server();
    let (_holder, waiter) = contend(&server, &direct(&server), START);
    let start = Instant::now();
    kill(Pid::from_raw(waiter.pid()), Signal::SIGTERM).unwrap();
    let output = waiter.wait();
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert_eq!(output.status.signal(), Some(Signal::SIGTERM as i32), "{output:?}");
    wait_until("the server has forgotten it", || waiting(&server) == 0);
}

const HANDLER: &str = "pcntl_async_signals(true);";

#[test]
fn a_signal_handler_runs_during_the_wait_and_the_wait_goes_on() {
    let server = server();
    let code = format!(
        "{HANDLER} pcntl_signal(SIGTERM, static function () {{ tell('handled'); echo 'handled '; }});
         {START} count_up(); echo $_SESSION['n'];"
    );
    let (holder, waiter) = contend(&server, &with_processes(direct(&server)), &code);
    for _ in 0..2 {
        let start = Instant::now();
        kill(Pid::from_raw(waiter.pid()), Signal::SIGTERM).unwrap();
        wait_for(&server, "handled");
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    }
    assert_eq!(waiting(&server), 1, "still in its place");
    tell(&server, "go");
    holder.wait().ok();
    assert_eq!(waiter.wait().ok(), "handled handled 2");
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn a_signal_handler_that_exits_during_the_wait_ends_the_request_and_makes_no_session() {
    for strict in ["0", "1"] {
        let server = server();
        let php = with_processes(direct(&server)).ini("session.use_strict_mode", strict);
        let code = format!(
            "register_shutdown_function(static function () {{ echo 'shut down'; }});
             {HANDLER} pcntl_signal(SIGTERM, static function () {{ exit(3); }});
             {START} echo 'not reached';"
        );
        store(&server, SID, "n|i:1;");
        let (holder, waiter) = contend(&server, &php, &code);
        let start = Instant::now();
        kill(Pid::from_raw(waiter.pid()), Signal::SIGTERM).unwrap();
        let output = waiter.wait();
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(output.stdout.ends_with("shut down"), "{output:?}");
        assert!(!output.stdout.contains("not reached"));
        tell(&server, "go");
        holder.wait().ok();
        assert_eq!(server.keys(), [key(SID)], "strict mode {strict}: {}", output.stdout);
        assert_eq!(stored(&server, SID).unwrap(), "n|i:2;");
    }
}

#[test]
fn a_signal_handler_that_throws_during_the_wait_ends_the_wait_and_the_request_goes_on() {
    for strict in ["0", "1"] {
        let server = server();
        store(&server, SID, "n|i:1;");
        let php = with_processes(direct(&server)).ini("session.use_strict_mode", strict);
        let code = format!(
            "{HANDLER} pcntl_signal(SIGALRM, static function () {{ throw new Exception('alarm'); }});
             try {{ {START} }} catch (Exception $e) {{ echo $e->getMessage(); }}
             echo session_status() === PHP_SESSION_NONE ? ' none ' : ' open ';
             ini_set('redis.session.lock_retries', '1000'); await('released');
             session_id('visitor'); session_start(); count_up(); echo $_SESSION['n'];"
        );
        let (holder, waiter) = contend(&server, &php, &code);
        kill(Pid::from_raw(waiter.pid()), Signal::SIGALRM).unwrap();
        wait_until("it waits no more", || waiting(&server) == 0);
        tell(&server, "go");
        holder.wait().ok();
        tell(&server, "released");
        let output = waiter.wait().ok();
        assert!(output.contains("alarm none "), "strict mode {strict}: {output}");
        assert!(output.ends_with('3'), "strict mode {strict}: {output}");
        assert_eq!(server.keys(), [key(SID)], "strict mode {strict}");
    }
}

#[test]
fn a_waiter_gives_up_after_its_retries_and_says_who_has_the_lock() {
    let server = server();
    let holder = hold(&server, &direct(&server));
    let php = direct(&server)
        .ini("redis.session.lock_retries", "5")
        .ini("redis.session.lock_wait_time", "200000");
    let start = Instant::now();
    let code = format!(
        "{} echo 'goes on';",
        START.replace("session_start()", "var_dump(session_start())")
    );
    let output = run(&php, &code).ok();
    let took = start.elapsed();
    assert!(took >= SECOND && took < SECOND + SOON, "{took:?}");
    assert!(output.contains("bool(false)") && output.ends_with("goes on"), "{output}");
    let warnings = warnings(&output);
    assert_eq!(warnings.len(), 1, "{output}");
    let host = nix::unistd::gethostname().unwrap();
    for part in [
        "session_start(): Failed to acquire session lock: it has been held for ",
        &format!(" s by process {} on {}", holder.pid(), host.to_str().unwrap()),
        "which runs /",
        "test.php; gave up after 1.",
    ] {
        assert!(warnings[0].contains(part), "no {part} in {}", warnings[0]);
    }
    let token = lock(&server, SID).unwrap();
    assert!(!output.contains(token.split(':').nth(1).unwrap()), "the token is secret");
    tell(&server, "go");
    holder.wait().ok();
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn retries_of_minus_one_wait_until_the_lock_is_free() {
    let server = server();
    let php = direct(&server)
        .ini("redis.session.lock_retries", "-1")
        .ini("redis.session.lock_wait_time", "1000");
    let (holder, waiter) = contend(&server, &php, &format!("{START} count_up();"));
    // More than a hundred times as long as 100 retries.
    assert!(!poll(3 * SECOND, || waiting(&server) == 0));
    tell(&server, "go");
    holder.wait().ok();
    assert_quiet(&waiter.wait());
    assert_eq!(stored(&server, SID).unwrap(), "n|i:2;");
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn no_more_requests_wait_than_may() {
    let server = server();
    let php = direct(&server).ini("redis_session.lock_max_waiters", "1");
    let (holder, waiter) = contend(&server, &php, &format!("{START} count_up();"));
    let start = Instant::now();
    let output = run(&php, START).ok();
    assert!(start.elapsed() < SOON);
    let text = "Failed to acquire session lock: 1 requests wait for this session already";
    assert!(warnings(&output)[0].contains(text), "{output}");
    tell(&server, "go");
    holder.wait().ok();
    assert_quiet(&waiter.wait());
    assert_eq!(stored(&server, SID).unwrap(), "n|i:2;");
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn a_request_that_may_miss_the_lock_goes_on_read_only_and_its_write_is_refused() {
    for strict in ["0", "1"] {
        let server = server();
        store(&server, SID, "n|i:7;");
        let holder = hold(&server, &direct(&server));
        let php = direct(&server)
            .ini("session.use_strict_mode", strict)
            .ini("redis.session.lock_failure_readonly", "1")
            .ini("redis.session.lock_retries", "5");
        let code = format!("{START} echo '<', $_SESSION['n'], '>'; $_SESSION['n'] = 'x';");
        let output = run(&php, &code).ok();
        let warnings = warnings(&output);
        let first = "Failed to acquire session lock, session will be read only: ";
        assert!(warnings[0].contains(first), "{output}");
        assert!(output.contains("<7>"), "{output}");
        let refused = "Unable to write session: session lock not held";
        assert!(warnings[1].contains(refused) && warnings.len() == 2, "{output}");
        tell(&server, "go");
        holder.wait().ok();
        assert_eq!(stored(&server, SID).unwrap(), "n|i:8;", "strict mode {strict}");
        assert_eq!(server.keys(), [key(SID)]);
    }
}

#[test]
fn reading_alone_waits_until_the_lock_is_free_reads_what_was_written_and_takes_none() {
    for (read_only, options) in [("0", "['read_and_close' => true]"), ("1", "")] {
        let server = server();
        store(&server, SID, "n|i:7;");
        let php = direct(&server).ini("redis_session.read_only", read_only);
        let code = format!(
            "session_id('visitor'); session_start({options}); echo $_SESSION['n'], ' ';
             echo side_in(0, 'GET', '{}') === null ? 'unlocked' : 'locked';",
            lock_key(SID)
        );
        let (holder, reader) = contend(&server, &php, &code);
        tell(&server, "go");
        holder.wait().ok();
        assert_eq!(reader.wait().ok(), "8 unlocked", "{options}");
        assert_eq!(server.keys(), [key(SID)]);
    }
}

#[test]
fn reading_alone_reads_the_old_value_at_once_where_it_is_not_to_wait() {
    let server = server();
    store(&server, SID, "n|i:7;");
    let _holder = hold(&server, &direct(&server));
    for (read_only, options) in [("0", "['read_and_close' => true]"), ("1", "")] {
        let php = direct(&server)
            .ini("redis_session.read_only_wait", "0")
            .ini("redis_session.read_only", read_only);
        let code = format!("session_id('visitor'); session_start({options}); echo $_SESSION['n'];");
        assert_eq!(run(&php, &code).ok(), "7", "{options}");
    }
}

#[test]
fn a_read_only_request_cannot_write() {
    let server = server();
    store(&server, SID, "n|i:7;");
    let php = direct(&server).ini("redis_session.read_only", "1");
    let output = run(&php, &format!("{START} count_up();")).ok();
    let text = "Unable to write session: redis_session.read_only is on for this request";
    assert!(warnings(&output)[0].contains(text), "{output}");
    assert_eq!(stored(&server, SID).unwrap(), "n|i:7;");
}

#[test]
fn readers_that_wait_are_all_let_in_and_the_writer_among_them_too() {
    let server = server();
    store(&server, SID, "n|i:7;");
    let holder = hold(&server, &direct(&server));
    let read =
        "session_id('visitor'); session_start(['read_and_close' => true]); echo $_SESSION['n'];";
    let mut waiters = Vec::new();
    for (n, code) in
        [read, &format!("{START} count_up(); echo 'w';"), read, read].iter().enumerate()
    {
        waiters.push(spawn(&direct(&server), code));
        wait_until("it waits too", || waiting(&server) == n + 1);
    }
    tell(&server, "go");
    holder.wait().ok();
    let read: Vec<String> = waiters.into_iter().map(|waiter| waiter.wait().ok()).collect();
    assert_eq!(read, ["8", "w", "9", "9"]);
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn a_session_destroyed_during_the_wait_is_replaced_in_strict_mode() {
    let server = server();
    store(&server, SID, "n|i:7;");
    let destroyer =
        spawn(&direct(&server), &format!("{START} tell('held'); await('go'); session_destroy();"));
    wait_for(&server, "held");
    let php = direct(&server).ini("session.use_strict_mode", "1");
    let waiter = spawn(&php, &format!("{START} echo session_id();"));
    wait_until("it waits", || waiting(&server) == 1);
    tell(&server, "go");
    destroyer.wait().ok();
    let id = waiter.wait().ok();
    assert_ne!(id, SID, "an id that names no session was taken");
    assert_eq!(server.keys(), [key(&id)]);
}

#[test]
fn a_waiter_whose_connection_is_closed_queues_up_again() {
    let server = server();
    let (holder, waiter) = contend(&server, &direct(&server), &format!("{START} count_up();"));
    let list: String = redis::cmd("CLIENT").arg("LIST").query(&mut server.client()).unwrap();
    let waiting_line = list
        .lines()
        .find(|line| line.contains(" name=redis_session ") && line.contains(" cmd=blpop "));
    let id = waiting_line.unwrap().split(' ').next().unwrap().trim_start_matches("id=");
    redis::cmd("CLIENT").arg(&["KILL", "ID", id]).exec(&mut server.client()).unwrap();
    wait_until("it waits on another connection", || {
        let now: String = redis::cmd("CLIENT").arg("LIST").query(&mut server.client()).unwrap();
        waiting(&server) == 1 && !now.contains(&format!("id={id} "))
    });
    tell(&server, "go");
    holder.wait().ok();
    assert_quiet(&waiter.wait());
    assert_eq!(stored(&server, SID).unwrap(), "n|i:2;");
    assert_eq!(server.keys(), [key(SID)]);
}

#[test]
fn a_server_that_restarts_during_a_wait_ends_the_wait_and_refuses_the_holder() {
    let (between, mut server) = (server(), server());
    let php = php(&between, &format!("tcp://{}", server.addr()));
    let holder = hold(&between, &php);
    let waiter = spawn(&php, &format!("{START} $_SESSION['n'] = 'of the waiter';"));
    wait_until("it waits", || waiting(&server) == 1);
    server.restart();
    // It was let in, or has met the closed port and says so.
    let output = waiter.wait().ok();
    let said = warnings(&output);
    assert!(said.iter().all(|w| w.contains("Redis connection not available")), "{output}");
    tell(&between, "go");
    assert_refused(&holder.wait().ok());
    let found = stored(&server, SID);
    let expected = said.is_empty().then(|| "n|s:13:\"of the waiter\";".to_owned());
    assert_eq!(found, expected);
}

#[test]
fn a_server_that_goes_away_during_a_wait_ends_it_with_a_warning() {
    let (between, mut server) = (server(), server());
    let php = php(&between, &format!("tcp://{}?timeout=1", server.addr()));
    let _holder = hold(&between, &php);
    let waiter = spawn(&php, START);
    wait_until("it waits", || waiting(&server) == 1);
    let start = Instant::now();
    server.kill();
    let output = waiter.wait().ok();
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert!(warnings(&output)[0].contains("Redis connection not available"), "{output}");
}

#[test]
fn a_server_that_goes_silent_during_a_wait_is_given_up() {
    let (between, mut server) = (server(), server());
    let php = php(&between, &format!("tcp://{}?timeout=1&read_timeout=1", server.addr()))
        .ini("redis.session.lock_retries", "100"); // two seconds
    let _holder = hold(&between, &php);
    let waiter = spawn(&php.timeout(15 * SECOND), START);
    wait_until("it waits", || waiting(&server) == 1);
    server.pause();
    let output = waiter.wait().ok();
    assert!(!warnings(&output).is_empty(), "{output}");
}
