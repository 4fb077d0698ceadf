--TEST--
A wrong password is a warning of ours that does not show it
--FILE--
<?php
require __DIR__ . '/common.inc';

set_error_handler(static function (int $level, string $text) {
    echo with_one_name($text), "\n";
    var_dump(str_contains($text, 'secret-42'));
});
ini_set('session.save_path', save_path('auth[]=nobody&auth[]=secret-42'));
var_dump(session_start());
?>
--EXPECTF--
session_start(): Redis connection not available: %s: the server refused the login: %r(WRONGPASS|ERR AUTH <password> called without any password configured)%r %s
bool(false)
session_start(): Failed to read session data: redis (path: %s)
bool(false)
bool(false)
