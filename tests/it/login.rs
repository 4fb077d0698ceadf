//! Who we are to the server: user, password, database and name, however the
//! save path says them, and on servers without HELLO too.
#![cfg(feature = "php")]
// Tests stop at the first surprise, in their helper functions too.
#![allow(clippy::unwrap_used)]

use crate::support::php::Php;
use crate::support::servers::{Options, RedisServer};
use crate::support::site::{php, warnings};

const PASSWORD: &str = "p@ss/w#rd-7f3a";
const ENCODED: &str = "p%40ss%2Fw%23rd-7f3a";
const STORE: &str = "session_id('login'); session_start(); $_SESSION['n'] = 7; echo 'done ';
     session_write_close(); session_start(); echo $_SESSION['n'];";

fn protected(config: &[&str]) -> RedisServer {
    RedisServer::start(Options {
        requirepass: Some(PASSWORD.into()),
        users: vec![
            "alice on >wonder ~PHPREDIS_SESSION:* +get +setex +expire +del +select".into(),
            "bob on >builder ~* +@all".into(),
        ],
        config: config.iter().map(|line| (*line).to_owned()).collect(),
        ..Options::default()
    })
}

const WITHOUT_HELLO: &str = "rename-command HELLO \"\"";

/// The sessions in `database`, as the default user sees them.
fn keys(server: &RedisServer, database: u8) -> Vec<String> {
    let mut client = server.client();
    redis::cmd("SELECT").arg(database).exec(&mut client).unwrap();
    redis::cmd("KEYS").arg("*").query(&mut client).unwrap()
}

#[track_caller]
fn assert_works(server: &RedisServer, php: &Php, database: u8) {
    assert_eq!(php.run(STORE).ok(), "done 7");
    assert_eq!(keys(server, database), ["PHPREDIS_SESSION:login"]);
    redis::cmd("FLUSHALL").exec(&mut server.client()).unwrap();
}

#[test]
fn each_way_to_write_user_password_and_database_logs_in() {
    let server = protected(&[]);
    let (addr, socket) = (server.addr(), server.socket().display().to_string());
    for (save_path, database) in [
        (format!("tcp://{addr}?auth={ENCODED}"), 0),
        (format!("tcp://{addr}?auth[]={ENCODED}&database=2"), 2),
        (format!("tcp://{addr}?auth[]=bob&auth[]=builder&database=3"), 3),
        (format!("tcp://{addr}?auth[user]=bob&auth[pass]=builder"), 0),
        (format!("{addr}?auth={ENCODED}"), 0),
        (format!("redis://:{ENCODED}@{addr}/4"), 4),
        (format!("redis://bob:builder@{addr}/5"), 5),
        (format!("valkey://bob:builder@{addr}"), 0),
        (format!("unix://{socket}?auth={ENCODED}&database=6"), 6),
        (format!("unix:{socket}?auth[]=bob&auth[]=builder"), 0),
    ] {
        assert_works(&server, &php(&save_path), database);
    }
}

#[test]
fn a_platform_s_url_works_as_it_is_from_the_environment() {
    let server = protected(&[]);
    let php = Php::new()
        .ini("session.save_handler", "redis")
        .env("REDIS_URL", &format!("redis://h:{ENCODED}@{}/3", server.addr()))
        .ini_raw("session.save_path", "\"${REDIS_URL}\"");
    // Platforms put a name in front of what is only a password.
    for user in ["", "default", "h"] {
        let url = format!("redis://{user}:{ENCODED}@{}/3", server.addr());
        assert_works(&server, &php.clone().env("REDIS_URL", &url), 3);
    }
}

#[test]
fn a_url_chosen_at_run_time_works() {
    let server = protected(&[]);
    let code = format!(
        "ini_set('session.save_handler', 'redis');
         ini_set('session.save_path', 'redis://:{ENCODED}@{}/1'); {STORE}",
        server.addr()
    );
    assert_eq!(Php::new().run(&code).ok(), "done 7");
    assert_eq!(keys(&server, 1), ["PHPREDIS_SESSION:login"]);
}

#[test]
fn a_user_who_may_do_nothing_but_keep_sessions_can_keep_them() {
    for config in [&[][..], &[WITHOUT_HELLO]] {
        let server = protected(config);
        let save_path = format!("tcp://{}?auth[]=alice&auth[]=wonder&database=1", server.addr());
        assert_works(&server, &php(&save_path), 1);
    }
}

#[test]
fn a_server_without_hello_is_logged_in_to_the_older_way() {
    let server = protected(&[WITHOUT_HELLO]);
    let addr = server.addr();
    for (save_path, database) in [
        (format!("tcp://{addr}?auth={ENCODED}&database=2"), 2),
        (format!("tcp://{addr}?auth[]=bob&auth[]=builder"), 0),
    ] {
        assert_works(&server, &php(&save_path), database);
    }
    let open =
        RedisServer::start(Options { config: vec![WITHOUT_HELLO.into()], ..Options::default() });
    assert_works(&open, &php(&format!("tcp://{}?database=2", open.addr())), 2);
}

/// What our one warning says when the login is refused.
#[track_caller]
fn refusal(save_path: &str) -> String {
    let output = php(save_path).run("session_id('login'); var_dump(session_start());");
    assert!(output.stdout.contains("bool(false)"), "{output:?}");
    let mut ours = warnings(&output.stdout);
    assert_eq!(ours.len(), 1, "{output:?}");
    ours.remove(0)
}

#[test]
fn a_refused_login_is_explained_without_the_password() {
    for config in [&[][..], &[WITHOUT_HELLO]] {
        let server = protected(config);
        let addr = server.addr();
        let wrong = "wrong-b41d";
        for save_path in [
            format!("tcp://{addr}?auth={wrong}"),
            format!("tcp://{addr}?auth[]=bob&auth[]={wrong}"),
            format!("redis://nobody:{wrong}@{addr}"),
        ] {
            let text = refusal(&save_path);
            let start = format!("session_start(): Redis connection not available: {addr}: ");
            assert!(text.starts_with(&start) && text.contains("WRONGPASS"), "{text}");
            assert!(!text.contains(wrong), "{text}");
        }
        let text = refusal(&format!("tcp://{addr}"));
        assert!(text.contains(&addr) && text.contains("NOAUTH"), "{text}");
        let text = refusal(&format!("tcp://{addr}?auth={ENCODED}&database=999"));
        assert!(text.contains("DB index is out of range"), "{text}");
        assert!(!text.contains(PASSWORD) && !text.contains(ENCODED), "{text}");
    }
}

#[test]
fn a_password_for_a_server_that_has_none_is_explained() {
    for config in [&[][..], &[WITHOUT_HELLO]] {
        let server = RedisServer::start(Options {
            config: config.iter().map(|line| (*line).to_owned()).collect(),
            ..Options::default()
        });
        let text = refusal(&format!("redis://h:secret-59c2@{}", server.addr()));
        assert!(text.contains("without any password configured"), "{text}");
        assert!(!text.contains("secret-59c2"), "{text}");
    }
}

#[test]
fn a_server_that_repeats_a_refused_command_does_not_reveal_the_password() {
    // With neither HELLO nor AUTH, Redis quotes the arguments of both.
    let server = RedisServer::start(Options {
        config: vec![WITHOUT_HELLO.into(), "rename-command AUTH \"\"".into()],
        ..Options::default()
    });
    let secret = "secret-59c2";
    let text = refusal(&format!("tcp://{}?auth={secret}", server.addr()));
    assert!(text.contains(&server.addr()) && text.contains("refused the login"), "{text}");
    assert!(!text.contains(secret), "{text}");
    // It does quote it, so this test can fail.
    let quoted = redis::cmd("AUTH").arg(secret).exec(&mut server.client()).unwrap_err();
    assert!(quoted.to_string().contains(secret), "{quoted}");
}

#[test]
fn a_malformed_save_path_is_explained_without_the_password() {
    let output = php("tcp://127.0.0.1:6379?auth=secret-59c2&weight=none")
        .run("session_id('login'); var_dump(session_start());");
    let ours = warnings(&output.stdout);
    assert_eq!(ours.len(), 1, "{output:?}");
    assert!(ours[0].contains("Failed to parse session.save_path"), "{ours:?}");
    assert!(!ours[0].contains("secret-59c2"), "{ours:?}");
}

#[test]
fn client_list_tells_us_from_others() {
    for config in [&[][..], &[WITHOUT_HELLO]] {
        let server = protected(config);
        let list = format!(
            "session_start(); $s = stream_socket_client('unix://{}');
             fwrite($s, \"AUTH {PASSWORD}\\r\\nCLIENT LIST\\r\\nQUIT\\r\\n\");
             echo stream_get_contents($s);",
            server.socket().display()
        );
        let listed = php(&format!("tcp://{}?auth={ENCODED}", server.addr())).run(&list).ok();
        let ours = listed.lines().filter(|line| line.contains("name=redis_session ")).count();
        assert_eq!(ours, 1, "{listed}");
    }
}
