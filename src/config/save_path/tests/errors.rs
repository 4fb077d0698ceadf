use super::*;

#[track_caller]
fn refuses(text: &str, offset: usize, reason: &str) {
    let error = error(text);
    assert!(error.reason.contains(reason), "{text}: {error}");
    assert_eq!(error.offset, offset, "{text}: {error}");
}

#[test]
fn an_error_begins_as_that_of_phpredis_does() {
    assert_eq!(
        error("tcp://h1,tcp://h2:x?auth=pw").to_string(),
        "Failed to parse session.save_path (error at offset 17, url was 'tcp://h1,tcp://h2:***'): \
         the port must be a number from 1 to 65535 (write an IPv6 address in brackets; in a \
         password, write a comma as %2C and a space as %20)"
    );
}

#[test]
fn an_empty_text_is_refused() {
    for text in ["", " ", " ,\t,", "\"\""] {
        refuses(
            text,
            0,
            "session.save_path is empty: set it, e.g. tcp://127.0.0.1:6379 (an environment \
             variable in it must be set too)",
        );
    }
}

#[test]
fn a_variable_that_php_left_in_the_text_is_refused() {
    refuses("${REDIS_URL}", 0, "${REDIS_URL} was not replaced");
    refuses("tcp://${HOST}:6379?auth=pw", 6, "${HOST} was not replaced");
    refuses("tcp://h?auth=${PASSWORD}", 13, "*** was not replaced");
}

#[test]
fn a_nul_byte_is_refused() {
    refuses("tcp://h\0", 7, "NUL");
    refuses("tcp://h?prefix=a%00", 15, "NUL");
    refuses("redis://:%00@h", 9, "NUL");
}

#[test]
fn what_is_not_utf8_is_refused() {
    refuses("tcp://h?prefix=%FF", 15, "UTF-8");
}

#[test]
fn a_bad_address_is_refused() {
    refuses("tcp://", 6, "missing host");
    refuses("redis:///3", 8, "missing host");
    refuses("redis://u:p@/3", 12, "missing host");
    refuses("tcp://:6379", 6, "missing host");
    refuses("tcp://h:0", 7, "port");
    refuses("tcp://h:65536", 7, "port");
    refuses("tcp://h:+1", 7, "port");
    refuses("::1", 0, "IPv6 address in brackets");
    refuses("fe80::1", 4, "IPv6 address in brackets");
    refuses("[::1", 0, "must be a host name or an IP address");
    refuses("[::1]7", 5, "port");
    refuses("tcp://a\"b", 6, "must be a host name or an IP address");
    refuses("unix://run/redis.sock", 7, "needs an absolute path");
    refuses("unix:", 5, "needs an absolute path");
    refuses("h1 redis+unix:///s", 3, "unknown scheme redis+unix://: use one of tcp, tls");
    refuses("tlsv1.1://h", 0, "tlsv1.1:// is no longer secure: write tls://");
    refuses("sslv3://h", 0, "write tls://");
    refuses("redis://h/name", 9, "only a database number may follow the host");
    refuses("redis://h#a", 9, "only a database number may follow the host");
}

#[test]
fn a_password_that_splits_the_list_is_refused() {
    refuses("redis://u:a,b@h", 9, "%2C");
    refuses("redis://u:1,b@h", 12, "%2C");
    for text in ["tcp://h?auth=pa,ss", "tcp://h?auth=pa ss", "h:1?auth[]=u&auth[]=pa,ss:1"] {
        let error = error(text);
        assert!(error.reason.contains("%2C") && error.reason.contains("%20"), "{text}: {error}");
        assert!(error.masked.ends_with("=***"), "{error}");
    }
    refuses("tcp://h?auth=pa, s$s", 17, "%2C");
    refuses("tcp://h?auth=pa,ss&weight=2", 16, "%2C");
    for text in ["tcp://h1?auth=pa, h2", "h1?weight=2,h2", "h1?auth=pa,h2:1?auth=pa"] {
        assert_eq!(hosts(text).len(), 2, "{text}");
    }
    refuses("u:p@h", 0, "needs a scheme");
}

#[test]
fn a_user_without_a_password_is_refused() {
    refuses("redis://u@h", 8, "missing colon");
    refuses("h?auth[user]=u", 0, "write auth as one of");
}

#[test]
fn a_typing_error_never_sends_a_password_to_another_host() {
    refuses("tcp://h:x?auth=pw@example.com", 7, "port");
    refuses("redis://u:p@h:x?prefix=a@b", 13, "port");
    refuses("tcp://h?auth=a&b@c", 7, "contains an @");
    refuses("tcp://h:1?foo=a&b@c", 9, "contains an @");
}

#[test]
fn numbers_out_of_range_are_refused() {
    for value in ["0", "-1", "", "x", "1.5", "4294967296", "%2B1"] {
        refuses(&format!("h,h?weight={value}"), 4, "weight must be");
    }
    for value in ["0", "-1", "", "x", "NaN", "inf", "1000000001", "1e999", "1e-12"] {
        refuses(&format!("h?timeout={value}"), 2, "timeout must be");
    }
    for value in ["-1", "", "NaN", "infinity", "1e10"] {
        refuses(&format!("h?read_timeout={value}"), 2, "read_timeout must be");
    }
    for value in ["-1", "", "NaN", "1e10"] {
        refuses(&format!("h?max_connection_age={value}"), 2, "max_connection_age must be");
    }
    for name in ["database", "retry_interval"] {
        refuses(&format!("h?{name}=-1"), 2, "whole number");
    }
}

#[test]
fn weights_that_do_not_add_up_are_refused() {
    refuses("a?weight=4294967295 b", 20, "sum of all weights");
}

#[test]
fn a_switch_is_not_a_word_for_off() {
    refuses("h?persistent=off", 2, "persistent must be 0 or 1");
    refuses("tls://h?stream[verify_peer]=false", 8, "stream[verify_peer] must be 0 or 1");
}

#[test]
fn auth_in_another_form_is_refused() {
    for text in [
        "h?auth[]=a&auth[]=b&auth[]=c",
        "h?auth=a&auth[]=b",
        "h?auth[]=a&auth[pass]=b",
        "h?auth=a&auth[user]=b",
    ] {
        refuses(text, 0, "write auth as one of");
    }
    refuses("h?auth[name]=a", 2, "write auth as one of");
    refuses("h?auth[1]=a", 2, "write auth as one of");
}

#[test]
fn what_is_said_twice_and_differs_is_refused() {
    refuses("h,redis://h/3?database=5", 2, "/3 and database=5 differ");
    refuses("redis://h/3?database=0", 0, "differ: keep one of them");
    refuses("redis://:a@h?auth=b", 0, "differ: keep one of them");
    refuses("tcp://h/3", 0, "/3 is a database only with redis:// or rediss://: write one of");
    refuses("tcp://h/3?database=1", 0, "differ: keep one of them");
}

#[test]
fn a_stream_option_that_cannot_be_honoured_is_refused() {
    refuses("tls://h?weight=1&stream[ciphers]=x", 17, "stream[ciphers] is not");
    refuses(
        "tls://h?stream[cafile]=phar://a/ca.pem",
        8,
        "stream[cafile] must be a path, or file:///",
    );
    refuses("tls://h?stream[local_pk]=file://a", 8, "stream[local_pk] must be a path");
    refuses("tls://h?stream=1", 8, "stream needs an option");
    refuses("tcp://h?stream[verify_peer]=0", 8, "needs tls://");
    refuses("unix:/s?stream[verify_peer]=0", 8, "needs tls://");
}

#[test]
fn an_unknown_parameter_is_a_warning() {
    assert_eq!(
        warnings("tcp://h?wieght=2&weight=3&foo[bar]=1"),
        [
            "unknown parameter 'wieght' at offset 8 of session.save_path is ignored",
            "unknown parameter 'foo[bar]' at offset 26 of session.save_path is ignored",
        ]
    );
}

#[test]
fn a_parameter_without_a_value_asks_for_the_quotes() {
    for (text, offset) in [
        ("tcp://h:1?auth", 10),
        ("tcp://h?auth[]", 8),
        ("tcp://h?auth[user]", 8),
        ("tcp://h?weight=1&database", 17),
        ("redis://h?prefix", 10),
        ("unix:///s?persistent_id", 10),
        ("tls://h?stream[cafile]", 8),
        ("redis-sentinel://h/m?sentinel_auth", 21),
        ("redis-cluster://h?failover", 18),
        ("seed[]=h:1&auth", 11),
        ("seed[]", 0),
        ("seed[0]", 0),
    ] {
        refuses(
            text,
            offset,
            "has no value: put double quotes around the value of session.save_path",
        );
    }
    for text in ["tcp://h?auth=", "tcp://h?auth[]=&prefix=", "tls://h?stream[cafile]="] {
        assert_eq!(login(text), None, "{text}");
    }
}

#[test]
fn the_save_path_of_files_is_recognised() {
    for text in ["5;0600;/var/lib/php/sessions", "2;/tmp", "\"3;/tmp\"", "5", "0;600;/tmp"] {
        let error = error(text);
        assert!(error.reason.contains("session.save_handler = files"), "{text}: {error}");
    }
}

#[test]
fn an_ipv6_address_that_may_be_either_needs_brackets() {
    refuses("tcp://2001:db8:1:2:3:4:5:6379", 10, "IPv6 address in brackets");
    refuses("tcp://2001:db8::1", 10, "IPv6 address in brackets");
    refuses("tcp://::1:0", 6, "IPv6 address in brackets");
    refuses("tcp://::1:65536", 6, "IPv6 address in brackets");
}
