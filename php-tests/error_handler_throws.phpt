--TEST--
An error handler that throws on our warning ends session_start() with its exception, and PHP goes on
--FILE--
<?php
require __DIR__ . '/common.inc';

set_error_handler(static fn ($level, $text) => throw new ErrorException($text));
ini_set('session.save_path', unreachable());
try {
    session_start();
} catch (ErrorException $e) {
    echo $e->getMessage(), "\n";
}
var_dump(session_status() === PHP_SESSION_NONE);
ini_set('session.save_path', save_path());
session_id('visitor');
session_start();
$_SESSION['a'] = 1;
session_write_close();
var_dump(stored('visitor'));
?>
--EXPECTF--
session_start(): Redis connection not available: %s
bool(true)
string(6) "a|i:1;"
