//! pcntl_fork: parent and child go on with the session that was open, each on
//! a connection of its own, and neither reads what the other asked for.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use crate::support::php::Php;
use crate::support::proxy::RecordingProxy;
use crate::support::servers::{ClientCert, Options, RedisServer};
use crate::support::site::php;

/// `visits(NAME)` makes 100 visits of a session and says how many found the
/// data of another.
const VISITS: &str = "
    function visits($name) {
        $foreign = 0;
        for ($n = 0; $n < 100; $n++) {
            session_id($name); session_start();
            $found = $_SESSION['of'] ?? $name;
            if ($found !== $name || ($_SESSION['n'] ?? 0) !== $n) $foreign++;
            $_SESSION['of'] = $name; $_SESSION['n'] = $n + 1;
            session_write_close();
        }
        return $foreign;
    }
    function wait($child) {
        pcntl_waitpid($child, $status);
        return pcntl_wifexited($status) ? pcntl_wexitstatus($status) : 'killed';
    }
    ob_start();
    session_id('shared'); session_start(); $_SESSION['open'] = 'before';
";

fn server() -> (RedisServer, RecordingProxy) {
    let server = RedisServer::start(Options::default());
    let proxy = RecordingProxy::start(server.addr());
    (server, proxy)
}

/// PHP with pcntl, which is built in on Debian and shared elsewhere.
fn forking(save_path: &str) -> Php {
    let php = php(save_path);
    let built_in = Php::without_extension().run("echo (int) function_exists('pcntl_fork');").ok();
    if built_in == "1" { php } else { php.extension("pcntl") }
}

fn stored(server: &RedisServer, sid: &str) -> String {
    let key = format!("PHPREDIS_SESSION:{sid}");
    redis::cmd("GET").arg(key).query(&mut server.client()).unwrap()
}

#[test]
fn parent_and_child_work_at_the_same_time_on_a_connection_each() {
    let (server, proxy) = server();
    let code = format!(
        "{VISITS}
         if (!($child = pcntl_fork())) {{
             session_write_close(); exit(visits('child'));
         }}
         session_write_close();
         echo visits('parent'), ' ', wait($child), ' ', visits('later');"
    );
    let output = forking(&format!("tcp://{}", proxy.addr())).run(&code).ok();
    assert_eq!(output, "0 0 0");
    assert_eq!(proxy.connections(), 2, "the parent keeps its own");
    for name in ["parent", "child", "later"] {
        assert!(stored(&server, name).contains("n|i:100;"));
    }
}

#[test]
fn a_session_open_at_the_fork_can_be_written_by_both() {
    let (server, proxy) = server();
    let code = format!(
        "{VISITS}
         if (!($child = pcntl_fork())) {{ $_SESSION['child'] = 'wrote'; exit(0); }}
         echo wait($child);
         session_abort(); session_start(); echo ' ', $_SESSION['child'];
         $_SESSION['parent'] = 'wrote';"
    );
    let output = forking(&format!("tcp://{}", proxy.addr())).run(&code).ok();
    assert_eq!(output, "0 wrote");
    let expected = "open|s:6:\"before\";child|s:5:\"wrote\";parent|s:5:\"wrote\";";
    assert_eq!(stored(&server, "shared"), expected);
    assert_eq!(proxy.connections(), 2);
}

#[test]
fn a_child_that_ends_in_any_way_leaves_the_parent_s_connection_alone() {
    let tls = RedisServer::start(Options { tls: Some(ClientCert::Optional), ..Options::default() });
    let ca = tls.certs().ca.display().to_string();
    let to_tls = RecordingProxy::start(format!("127.0.0.1:{}", tls.tls_port()));
    let (_server, to_plain) = server();
    for (save_path, proxy) in [
        (format!("tcp://{}", to_plain.addr()), &to_plain),
        (format!("tls://{}?stream[cafile]={ca}", to_tls.addr()), &to_tls),
    ] {
        for child in [
            "exit(0);",
            "session_abort(); exit(0);",
            "session_write_close(); exit(0);",
            "session_destroy(); exit(0);",
            "session_reset(); exit(0);",
            "session_regenerate_id(); exit(0);",
            "ini_set('display_errors', '0'); no_such_function();",
        ] {
            proxy.reset();
            let code = format!(
                "{VISITS} if (!($child = pcntl_fork())) {{ {child} }}
                 wait($child); session_abort(); echo visits('parent');"
            );
            let php = forking(&save_path);
            let setup = "session_id('parent'); session_start(); session_destroy();";
            php.run(&format!("ob_start(); {setup}")).ok();
            let before = proxy.connections();
            assert_eq!(php.run(&code).ok(), "0", "{save_path} {child}");
            let new = proxy.connections() - before;
            assert!(new <= 2, "{save_path} {child}: {new} connections");
            if child.starts_with("session_abort") {
                assert_eq!(new, 1, "{save_path}: an idle child needs none");
            }
        }
    }
}

#[test]
fn connections_that_are_not_persistent_survive_a_fork_too() {
    let (_server, proxy) = server();
    let code = format!(
        "{VISITS}
         if (!($child = pcntl_fork())) {{ session_abort(); exit(visits('child')); }}
         session_abort(); echo visits('parent'), ' ', wait($child);"
    );
    let save_path = format!("tcp://{}?persistent=0", proxy.addr());
    assert_eq!(forking(&save_path).run(&code).ok(), "0 0");
}

#[test]
fn children_of_children_and_many_of_them_do_not_disturb_each_other() {
    let (server, proxy) = server();
    let code = format!(
        "{VISITS} session_write_close();
         $children = [];
         for ($i = 0; $i < 4; $i++) {{
             if ($child = pcntl_fork()) {{ $children[] = $child; continue; }}
             $foreign = visits(\"child$i\");
             if (!($grandchild = pcntl_fork())) exit(visits(\"grandchild$i\"));
             $foreign += visits(\"again$i\");
             exit($foreign + wait($grandchild));
         }}
         echo visits('parent');
         foreach ($children as $child) echo wait($child);"
    );
    let output = forking(&format!("tcp://{}", proxy.addr())).run(&code).ok();
    assert_eq!(output, "00000");
    assert_eq!(proxy.connections(), 9);
    assert_eq!(server.keys().len(), 14);
}

#[test]
fn a_lock_held_at_the_fork_stays_the_parent_s_however_the_child_ends() {
    let server = RedisServer::start(Options::default());
    let php = forking(&format!("tcp://{}", server.addr()))
        .ini("redis.session.locking_enabled", "1")
        .ini("redis.session.lock_retries", "10");
    for child in [
        "exit(0);",
        "$_SESSION['n'] = 'of the child'; exit(0);",
        "$_SESSION['n'] = 'of the child'; session_write_close(); exit(0);",
        "session_abort(); exit(0);",
        "session_reset(); exit(0);",
        "session_abort(); session_start(); exit(0);",
        "session_regenerate_id(); exit(0);",
        "ini_set('display_errors', '0'); no_such_function();",
        "ini_set('memory_limit', '2M'); str_repeat('x', 1 << 24);",
        "pcntl_alarm(1); pcntl_signal(SIGALRM, SIG_DFL); while (true);",
    ] {
        let code = format!(
            "ob_start();
             $parent = getmypid();
             set_error_handler(function ($level, $text) use ($parent) {{
                 if (getmypid() === $parent) echo $text;
             }});
             session_id('shared'); session_start(); $_SESSION['n'] = 0; session_write_close();
             session_start();
             if (!($child = pcntl_fork())) {{ ob_clean(); {child} }}
             pcntl_waitpid($child, $status);
             $_SESSION['n']++;
             session_write_close();
             session_start(); echo $_SESSION['n'];"
        );
        let output = php.run(&code);
        assert!(output.stdout.ends_with('1') && output.status.success(), "{child}: {output:?}");
        assert!(!output.stdout.contains("lock not held"), "{child}: {output:?}");
        assert_eq!(stored(&server, "shared"), "n|i:1;", "{child}");
        let locks: Vec<String> =
            server.keys().into_iter().filter(|key| key.contains("shared_")).collect();
        assert_eq!(locks, [""; 0], "{child}");
        redis::cmd("FLUSHALL").exec(&mut server.client()).unwrap();
    }
}
