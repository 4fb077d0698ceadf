//! The permissions that docs/security.md names are enough: nothing that the servers
//! and sentinels are asked for is refused.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use crate::support::cluster::{Cluster, ClusterOptions, ask, session_key};
use crate::support::load::Load;
use crate::support::php::Php;
use crate::support::process::wait_until;
use crate::support::sentinel::{Sentinel, SentinelOptions};
use crate::support::servers::{Options, RedisServer};

const PAGE: &str = include_str!("../../docs/security.md");
const WORKERS: usize = 4;
const REQUESTS: usize = 40;

/// What else a request may do than count in a session.
const SCENES: &str = r"
    function scene(array $settings, array $options, callable $rest) {
        foreach ($settings as $name => $value) ini_set($name, $value);
        session_id('scene');
        session_start($options);
        $rest();
        if (session_status() === PHP_SESSION_ACTIVE) session_write_close();
        foreach ($settings as $name => $value) ini_restore($name);
    }
    scene([], [], fn () => $_SESSION['n'] = 1);
    scene([], [], fn () => null);
    scene([], [], fn () => $_SESSION['large'] = str_repeat('x', 2_000_000));
    scene([], ['read_and_close' => true], fn () => null);
    scene([], [], fn () => session_abort());
    scene([], [], fn () => session_reset());
    scene(['session.use_strict_mode' => 1], [], fn () => session_regenerate_id(false));
    scene(['session.use_strict_mode' => 1], [], fn () => session_regenerate_id(true));
    scene(['redis.session.early_refresh' => 1], [], fn () => $_SESSION['n'] = 2);
    scene(['redis_session.read_only' => 1], [], fn () => null);
    scene(['redis_session.read_only' => 1, 'redis_session.read_only_wait' => 0], [], fn () => null);
    scene([], [], fn () => session_gc());
    scene([], [], fn () => session_destroy());
    echo 'done';
";

/// Reads a session that others hold.
const LOOK: &str = r"
    for ($turn = 0; $turn < 50; $turn++) {
        session_id(getenv('ID'));
        session_start();
        session_write_close();
    }
";

/// The words of a command line.
fn words(line: &str) -> Vec<String> {
    line.replace("\\\n", " ").split_whitespace().map(|word| word.replace('\'', "")).collect()
}

/// The command for a server of its own, without `redis-cli`.
fn server_user() -> Vec<String> {
    let (_, rest) = PAGE.split_once("redis-cli ACL SETUSER sessions").unwrap();
    let rules = rest.split("```").next().unwrap();
    [words("ACL SETUSER sessions"), words(rules)].concat()
}

/// What the paragraph below that command quotes: a cluster's pattern and more
/// commands, a setting and its command, a sentinel's commands.
fn quoted() -> Vec<Vec<String>> {
    let (_, rest) = PAGE.split_once("In a cluster the pattern is ").unwrap();
    let paragraph = rest.split("\n\n").next().unwrap();
    paragraph.split('`').skip(1).step_by(2).map(words).collect()
}

fn run(server: &RedisServer, command: &[String]) {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    assert_eq!(ask::<String>(server, &words), "OK", "{command:?}");
}

#[track_caller]
fn assert_nothing_refused(server: &RedisServer) {
    let refused: Vec<redis::Value> = ask(server, &["ACL", "LOG"]);
    assert!(refused.is_empty(), "{refused:#?}");
}

fn php(handler: &str, save_path: &str) -> Php {
    Php::new()
        .ini("session.save_handler", handler)
        .ini("session.save_path", save_path)
        .ini("redis.session.locking_enabled", "1")
        .ini("redis.session.lock_retries", "500")
}

/// Workers that wait for each other; `meanwhile` something happens.
#[track_caller]
fn use_it(php: &Php, ids: &[String], meanwhile: impl Fn(), stored: impl Fn(&str) -> String) {
    for locking in ["1", "0"] {
        let scenes = php.clone().ini("redis.session.locking_enabled", locking).run(SCENES);
        assert_eq!(scenes.ok(), "done", "locking {locking}");
    }
    let load = Load::start(php, WORKERS, ids);
    wait_until("sessions are used", || load.has_done(REQUESTS));
    php.clone().ini("redis_session.read_only", "1").env("ID", &ids[0]).run(LOOK).ok();
    meanwhile();
    let before = std::time::SystemTime::now();
    wait_until("all go on", || load.has_counted_since(before));
    let report = load.stop(stored);
    let refused: Vec<_> =
        report.failures.iter().filter(|(_, warning)| warning.contains("NOPERM")).collect();
    assert!(refused.is_empty() && report.lost == 0, "{report}: {refused:?}");
}

#[test]
fn a_server_s_user_needs_no_more() {
    let server = RedisServer::start(Options::default());
    run(&server, &server_user());
    let php = php("redis", &format!("redis://sessions:password@{}", server.addr()));
    let stored = |id: &str| ask(&server, &["GET", &format!("PHPREDIS_SESSION:{id}")]);
    use_it(&php, &["visitor".to_owned()], || {}, stored);
    assert_nothing_refused(&server);
}

#[test]
fn a_cluster_s_user_needs_no_more() {
    let cluster = Cluster::start(ClusterOptions { replicas: 1, ..Default::default() });
    let quoted = quoted();
    let (pattern, more) = (&quoted[0][0], &quoted[1]);
    let mut user: Vec<String> = server_user();
    user.iter_mut().filter(|word| word.starts_with('~')).for_each(|it| it.clone_from(pattern));
    user.extend(more.iter().chain(&quoted[3]).cloned());
    cluster.nodes().iter().for_each(|node| run(node, &user));
    let login = "auth[]=sessions&auth[]=password&failover=distribute";
    let php = php("rediscluster", &cluster.save_path(&[0, 1, 2], login))
        .ini("redis_session.wait_replicas", "1");
    let stored = |id: &str| {
        let key = session_key(id);
        ask(cluster.node(cluster.primary_of(&key)), &["GET", &key])
    };
    let ids = cluster.spread_ids(2);
    let key = session_key(&ids[0]);
    let move_it = || {
        let slot = cluster.slot_of(&key);
        let receiver = (cluster.primary_of(&key) + 1) % 3;
        cluster.migrate_slot(slot, receiver, std::time::Duration::from_millis(100));
    };
    use_it(&php, &ids, move_it, stored);
    cluster.nodes().iter().for_each(assert_nothing_refused);
}

#[test]
fn a_sentinel_s_user_needs_no_more() {
    let service = Sentinel::start(SentinelOptions::default());
    let watcher = words("ACL SETUSER watcher reset on >watch");
    for sentinel in service.sentinels() {
        run(sentinel, &[watcher.clone(), quoted()[4].clone()].concat());
    }
    service.servers().iter().for_each(|server| run(server, &server_user()));
    let query = "sentinel_auth[]=watcher&sentinel_auth[]=watch";
    let php = php("redis", &service.save_path("sessions:password@", query));
    let stored = |id: &str| {
        ask(service.server(service.primary()), &["GET", &format!("PHPREDIS_SESSION:{id}")])
    };
    let fail_over = || {
        service.failover();
    };
    use_it(&php, &["visitor".to_owned()], fail_over, stored);
    service.sentinels().iter().chain(service.servers()).for_each(assert_nothing_refused);
}
