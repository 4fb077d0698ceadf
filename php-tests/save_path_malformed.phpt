--TEST--
A save path that makes no sense is a warning with the place and the reason, and no session
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tcp', 'parses text only, so the topology makes no difference');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

set_error_handler(static function (int $level, string $text) {
    // PHP adds a warning of its own, which shows session.save_path as it is.
    if (!str_contains($text, 'Failed to initialize storage module: redis (path: ')) {
        echo "  $text\n";
    }
});
$paths = [
    '', ' , ', 'http://h', 'tcp://', 'tcp://h:0', 'tcp://h:70000', 'h:x', 'tcp://h?weight=0', 'tcp://h?weight=-1',
    'tcp://h?timeout=0', 'tcp://h?timeout=-1', 'tcp://h?read_timeout=x', 'tcp://h?database=x', 'tcp://h?persistent=maybe',
    'tcp://h/3', 'redis://h/1?database=2', 'tcp://h?auth[a]=x', 'tcp://h?auth[]=a&auth[]=b&auth[]=c',
    'tcp://h?stream[verify_peer]=0', 'tls://h?stream[ciphers]=x', 'unix://relative', 'tcp://a, tcp://b?weight=0',
    'tcp://u:pw-42@h:x',
];
foreach ($paths as $path) {
    echo "$path\n";
    ini_set('session.save_path', $path);
    if (session_start()) {
        echo "  started\n";
    }
}
?>
--EXPECTF--

session_start(): Failed to parse session.save_path (error at offset 0, url was ''): session.save_path is empty: set it, e.g. tcp://127.0.0.1:6379 (an environment variable in it must be set too)
 , 
  session_start(): Failed to parse session.save_path (error at offset 0, url was ' , '): session.save_path is empty: set it, e.g. tcp://127.0.0.1:6379 (an environment variable in it must be set too)
http://h
  session_start(): Failed to parse session.save_path (error at offset 0, url was 'http://***'): unknown scheme http://: use one of tcp, tls, ssl, unix, redis, rediss, valkey, valkeys, %s
tcp://
  session_start(): Failed to parse session.save_path (error at offset 6, url was 'tcp://'): missing host: write host:port, e.g. 127.0.0.1:6379
tcp://h:0
  session_start(): Failed to parse session.save_path (error at offset 7, url was 'tcp://h:***'): the port must be a number from 1 to 65535 (write an IPv6 address in brackets; in a password, write a comma as %2C and a space as %20)
tcp://h:70000
  session_start(): Failed to parse session.save_path (error at offset 7, url was 'tcp://h:***'): the port must be a number from 1 to 65535 (write an IPv6 address in brackets; in a password, write a comma as %2C and a space as %20)
h:x
  session_start(): Failed to parse session.save_path (error at offset 1, url was 'h:***'): the port must be a number from 1 to 65535 (write an IPv6 address in brackets; in a password, write a comma as %2C and a space as %20)
tcp://h?weight=0
  session_start(): Failed to parse session.save_path (error at offset 8, url was 'tcp://h?weight=0'): weight must be a whole number from 1 to 4294967295
tcp://h?weight=-1
  session_start(): Failed to parse session.save_path (error at offset 8, url was 'tcp://h?weight=-1'): weight must be a whole number from 1 to 4294967295
tcp://h?timeout=0
  session_start(): Failed to parse session.save_path (error at offset 8, url was 'tcp://h?timeout=0'): timeout must be a number of seconds, more than 0 and at most 1000000000
tcp://h?timeout=-1
  session_start(): Failed to parse session.save_path (error at offset 8, url was 'tcp://h?timeout=-1'): timeout must be a number of seconds, more than 0 and at most 1000000000
tcp://h?read_timeout=x
  session_start(): Failed to parse session.save_path (error at offset 8, url was 'tcp://h?read_timeout=x'): read_timeout must be a number of seconds, from 0 (the default) to 1000000000
tcp://h?database=x
  session_start(): Failed to parse session.save_path (error at offset 8, url was 'tcp://h?database=x'): database must be a whole number from 0 to 4294967295
tcp://h?persistent=maybe
  session_start(): Failed to parse session.save_path (error at offset 8, url was 'tcp://h?persistent=maybe'): persistent must be 0 or 1
tcp://h/3
  session_start(): Failed to parse session.save_path (error at offset 0, url was 'tcp://h/3'): /3 is a database only with redis:// or rediss://: write one of these, or ?database=3
redis://h/1?database=2
  session_start(): Failed to parse session.save_path (error at offset 0, url was 'redis://h/1?database=2'): /1 and database=2 differ: keep one of them
tcp://h?auth[a]=x
  session_start(): Failed to parse session.save_path (error at offset 8, url was 'tcp://h?auth[a]=***'): write auth as one of auth=password, auth[]=password, auth[]=user&auth[]=password, auth[user]=user&auth[pass]=password
tcp://h?auth[]=a&auth[]=b&auth[]=c
  session_start(): Failed to parse session.save_path (error at offset 0, url was 'tcp://h?auth[]=***&auth[]=***&auth[]=***'): write auth as one of auth=password, auth[]=password, auth[]=user&auth[]=password, auth[user]=user&auth[pass]=password
tcp://h?stream[verify_peer]=0
  session_start(): Failed to parse session.save_path (error at offset 8, url was 'tcp://h?stream[verify_peer]=0'): stream[...] needs tls:// or another scheme with TLS
tls://h?stream[ciphers]=x
  session_start(): Failed to parse session.save_path (error at offset 8, url was 'tls://h?stream[ciphers]=***'): stream[ciphers] is not a supported TLS option
unix://relative
  session_start(): Failed to parse session.save_path (error at offset 7, url was 'unix://relative'): a Unix socket needs an absolute path, e.g. unix:///run/redis/redis.sock
tcp://a, tcp://b?weight=0
  session_start(): Failed to parse session.save_path (error at offset 17, url was 'tcp://a, tcp://b?weight=0'): weight must be a whole number from 1 to 4294967295
tcp://u:pw-42@h:x
  session_start(): Failed to parse session.save_path (error at offset 15, url was 'tcp://u:***'): the port must be a number from 1 to 65535 (write an IPv6 address in brackets; in a password, write a comma as %2C and a space as %20)
