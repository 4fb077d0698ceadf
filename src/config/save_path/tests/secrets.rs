use super::*;
use crate::config::save_path::mask::{masked, masked_in, masked_refusal};

#[test]
fn a_password_is_masked_and_the_rest_is_shown() {
    for (text, shown) in [
        ("redis://u:pw@h:1/2?weight=1", "redis://u:***@h:1/2?weight=1"),
        ("redis://:p@w@h", "redis://:***@h"),
        ("redis://pw@h", "redis://***@h"),
        ("redis://u:a#b/c?d@h", "redis://u:***@h"),
        ("tcp://h:1?auth=pw&weight=2", "tcp://h:1?auth=***&weight=2"),
        ("h:1?timeout=1&auth[]=u&auth%5B%5D=pw", "h:1?timeout=1&auth[]=***&auth%5B%5D=***"),
        ("tls://h?stream[passphrase]=pw", "tls://h?stream[passphrase]=***"),
        ("tls://h?stream[cafile]=/ca", "tls://h?stream[cafile]=/ca"),
        ("unix:/s?auth=pw, tcp://h?prefix=a", "unix:/s?auth=***, tcp://h?prefix=a"),
        ("a:1, /run/s ,[::1]:2", "a:1, /run/s ,[::1]:2"),
        ("\"redis://u:pw@h\"", "\"redis://u:***@h\""),
        ("redis-cluster://u:pw@h1:1,h2?prefix=a", "redis-cluster://u:***@h1:1,h2?prefix=a"),
        ("redis-cluster://h1,h2?auth=a,b&timeout=1", "redis-cluster://h1,h2?auth=***&timeout=1"),
        ("redis-sentinel://:p@w@s1,s2/m?failover=x", "redis-sentinel://:***@s1,s2/m?failover=x"),
        ("redis-sentinel://s/m?sentinel_auth[]=pw", "redis-sentinel://s/m?sentinel_auth[]=***"),
        (" seed[]=h:1&auth=a,b c&seed[]=tls://h:2", " seed[]=h:1&auth=***&seed[]=tls://h:2"),
        ("seed[]=h:1&auth=a,tcp://b", "seed[]=h:1&auth=***"),
        ("redis-cluster://h?auth=a,tcp://b", "redis-cluster://h?auth=***"),
    ] {
        assert_eq!(masked(text), shown);
    }
}

#[test]
fn what_nobody_understands_is_masked() {
    for (text, shown) in [
        ("redis://u:pw", "redis://u:***"),
        ("redis://u:pw@h:port", "redis://u:***"),
        ("redis://u:p w@h", "redis://u:***"),
        ("redis://u:1,w@h", "redis://u:***"),
        ("redis+x://u:pw@h", "redis+x://***"),
        ("redis://pw:@h", "redis://***@h"),
        ("foo:///u:pw@h", "foo://***"),
        ("u:pw@h", "u:***"),
        ("u:1/?w@h", "u:***"),
        ("tcp://h?auth=p&w", "tcp://h?auth=***"),
        ("tcp://h?auth=p,w&weight=1", "tcp://h?auth=***"),
        ("tcp://h?auth=a:b,c@d", "tcp://h***"),
        ("tcp://h?auth=p?weight=1", "tcp://h?auth=***"),
        ("tcp://h?password=pw&%61uth=pw", "tcp://h?password=***&%61uth=***"),
        ("tcp://h?weight=a@b", "tcp://h?weight=***"),
        ("tcp://h?prefix=a,b&auth=pw", "tcp://h?prefix=a,b***"),
        ("tcp://h?weight=1,auth=pw", "tcp://h?weight=1,auth***"),
        ("h auth=pw", "h auth***"),
        ("timeout=1&auth=pw", "timeout=1&auth=***"),
        ("auth=pw:x, y@h", "auth***"),
        ("redis-cluster://u:p@h1,u:p@h2", "redis-cluster://u:***"),
        ("redis-cluster://u:p w@h1", "redis-cluster://u:***"),
        ("redis-sentinel://u:pw@s1", "redis-sentinel://u:***"),
        ("redis-cluster://h1?prefix=a,auth=pw", "redis-cluster://h1?prefix=a***"),
        ("redis-cluster://h1?auth=a,b?weight=pw", "redis-cluster://h1?auth=***"),
        ("redis-cluster://h1 redis://u:pw@h2", "redis-cluster://h1 redis://u:***@h2"),
        ("seed[]=u:pw&seed[]=pw@h:1", "seed[]=***&seed[]=***"),
        ("seed[]=h:1&passwd=pw", "seed[]=h:1&passwd=***"),
        ("seed=u:pw", "seed=***"),
        ("seed[]=u:&p=w&x@h:1", "seed[]=u:&***"),
    ] {
        assert_eq!(masked(text), shown);
    }
}

#[test]
fn a_message_shows_a_save_path_only_masked() {
    let path = "tcp://h?timeout=1&auth=p\"w";
    for (message, shown) in [
        (
            format!("Failed: redis (path: {path})"),
            "Failed: redis (path: tcp://h?timeout=1&auth=***)",
        ),
        (format!("{path} and {path}"), "tcp://h?timeout=1&auth=*** and tcp://h?timeout=1&auth=***"),
        // What a web page shows.
        ("(tcp://h?timeout=1&amp;auth=p&quot;w)".into(), "(tcp://h?timeout=1&amp;auth=***)"),
    ] {
        let found = masked_in(message.as_bytes(), path.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(found).unwrap(), shown);
    }
}

#[test]
fn a_password_that_looks_masked_or_is_not_unicode_is_masked_too() {
    assert_eq!(masked_in(b"(h?auth=*)", b"h?auth=*").unwrap(), b"(h?auth=***)");
    assert_eq!(masked_in(b"(h?auth=\xff)", b"h?auth=\xff").unwrap(), b"(h?auth=***)");
}

#[test]
fn a_message_without_secrets_is_left_alone() {
    let with_password = "tcp://h?auth=pw";
    for (message, path) in [
        ("redis (path: tcp://h)", "tcp://h"),
        ("files (path: /tmp)", "/tmp"),
        ("files (path: )", ""),
        ("something else", with_password),
        ("redis (path: tcp://h?auth=other)", with_password),
        ("", with_password),
    ] {
        assert_eq!(masked_in(message.as_bytes(), path.as_bytes()), None, "{message}");
    }
}

#[test]
fn a_control_character_does_not_reach_the_log() {
    assert_eq!(masked("h1\nh2\0"), "h1\u{fffd}h2\u{fffd}");
}

#[test]
fn what_may_be_the_end_of_a_password_is_not_named() {
    let [warning] = warnings("tcp://h?auth=pa&ss=word").try_into().unwrap();
    assert_eq!(warning, "unknown parameter '***' at offset 16 of session.save_path is ignored");
}

#[test]
fn debug_shows_no_password() {
    let text = "rediss://u:hunter2@h?stream[passphrase]=hunter3";
    let debug = format!("{:?}", SavePath::parse(text).unwrap());
    assert!(!debug.contains("hunter"), "{debug}");
}

/// Every form that a password may be in, where `{}` is.
const FORMS: [&str; 24] = [
    "redis://u:{}@h:1/2?weight=2",
    "redis://:{}@h",
    "redis://{}@h",
    "tcp://u:{}@h:1",
    "rediss://u:{}@h, redis://h2",
    "redis://h1 redis://u:{}@h2",
    "valkey://u:{}@[::1]:1?timeout=1",
    "tcp://h:1?auth={}",
    "tcp://h:1?auth={}&weight=2",
    "tcp://h:1?weight=2&auth={}, tcp://h2",
    "h:1?auth[]=u&auth[]={}",
    "h?auth[user]=u&auth[pass]={}&database=1",
    "unix:///s?auth={}",
    "/s?auth={}",
    "tls://h?stream[passphrase]={}&prefix=a",
    "u:{}@h",
    "redis-cluster://u:{}@h1:1,h2?weight=2",
    "redis-cluster://h1,h2?auth={}&timeout=1",
    "redis-sentinel://u:{}@s1:1,s2/m/2?prefix=a",
    "redis-sentinel://s1/m?sentinel_auth={}",
    "seed[]=h1:1&auth={}&timeout=1",
    "seed[]=h1:1&seed[]=h2:1&auth[]=u&auth[]={}",
    "auth={}&seed[]=h1:1",
    "redis+x://u:{}@h",
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..proptest::prelude::ProptestConfig::with_cases(3000) })]

    #[test]
    fn no_password_is_shown_whatever_it_holds(
        password in "[ -~]{3,12}", lines in "[ :a-z@/?&=,1]{3,8}", form in 0..FORMS.len(),
    ) {
        for password in [&password, &lines] {
            let text = FORMS[form].replace("{}", password);
            // What the rest of the text says anyway is no secret, nor is the
            // mask; and white space alone is what separates servers.
            let open = FORMS[form].replace("{}", "***") + "***";
            let blank = password.chars().all(|c| c == ' ' || c == ',');
            if blank || open.contains(password.as_str()) || password.contains('*') {
                continue;
            }
            let shown = masked(&text);
            proptest::prop_assert!(!shown.contains(password.as_str()), "{text}: {shown}");
        }
    }

    #[test]
    fn no_part_of_a_password_is_shown_that_is_no_user(
        password in "[qz][qz :a-c@/?&=,1#%+;.-]{2,10}[qz]", form in 0..FORMS.len(),
    ) {
        // What is before the first colon is the user, unless it cannot be one.
        let user = password.split_once(':').filter(|_| FORMS[form] == "redis://{}@h");
        if user.is_some_and(|(user, _)| !user.contains([' ', ',', '/', '?', '#', '@'])) {
            return Ok(());
        }
        let text = FORMS[form].replace("{}", &password);
        let shown = masked(&text);
        proptest::prop_assert!(!shown.contains(['q', 'z']), "{text}: {shown}");
    }

    #[test]
    fn no_part_of_a_password_is_taken_for_a_host(password in "[qz][a-u0-9:, /?&=@]{2,10}[qz]") {
        // With a space after the comma it cannot be told from a list.
        if password.contains(", ") || password.contains(" ,") || password.contains("  ") || password.contains(",,") {
            return Ok(());
        }
        for text in ["tcp://h:1?auth={}", "h:1?auth[]=u&auth[]={}", "unix:///s?auth={}"] {
            let text = text.replace("{}", &password);
            if let Ok(parsed) = SavePath::parse(&text) {
                let addresses = standalone(&parsed).hosts().map(|host| host.address.to_string());
                let shown = addresses.collect::<String>() + &parsed.warnings.concat();
                proptest::prop_assert!(!shown.contains(['q', 'z']), "{text}: {shown}");
            }
        }
    }
}

#[test]
fn what_open_basedir_refuses_is_masked() {
    let message = |function: &str, file: &str| {
        format!(
            "{function}: open_basedir restriction in effect. File({file}) is not within the allowed path(s): (/tmp)"
        )
    };
    for (function, file, shown) in [
        ("ini_set()", "tcp://h?timeout=1&auth=pw", "tcp://h?timeout=1&auth=***"),
        ("session_save_path()", "redis://u:p)w@h", "redis://u:***@h"),
        ("ini_set()", "tcp://h?timeout=1&amp;auth=p&lt;w", "tcp://h?timeout=1&amp;auth=***"),
        ("ini_set()", "seed[]=h:1&auth=pw", "seed[]=h:1&auth=***"),
        // What follows a semicolon in a password.
        ("ini_set()", "pw", "***"),
    ] {
        let masked = masked_refusal(message(function, file).as_bytes()).unwrap();
        assert_eq!(String::from_utf8(masked).unwrap(), message(function, shown));
    }
    for (function, file) in [
        ("ini_set()", "/var/lib/php/sessions"),
        ("fopen()", "secret.txt"),
        ("ini_set()", "tcp://h"),
    ] {
        assert_eq!(masked_refusal(message(function, file).as_bytes()), None, "{file}");
    }
}
