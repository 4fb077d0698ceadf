--TEST--
An error handler that throws on a failed write ends session_write_close() with its exception, and PHP goes on
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
not_with_locking('a server that refuses writes cannot let the lock go');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

set_error_handler(static fn ($level, $text) => throw new ErrorException($text));
session_id('visitor');
session_start();
$_SESSION['a'] = 1;
redis('CONFIG', 'SET', 'min-replicas-to-write', 9);
try {
    session_write_close();
} catch (ErrorException $e) {
    echo $e->getMessage(), "\n";
}
redis('CONFIG', 'SET', 'min-replicas-to-write', 0);
var_dump(session_status() === PHP_SESSION_NONE);
session_start();
$_SESSION['a'] = 2;
session_write_close();
var_dump(stored('visitor'));
?>
--EXPECTF--
session_write_close(): Error writing session data to Redis: %s
bool(true)
string(6) "a|i:2;"
