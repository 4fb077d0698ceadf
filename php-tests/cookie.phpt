--TEST--
A visitor with a cookie gets the session of its id
--INI--
session.save_handler="${REDIS_SESSION_TEST_HANDLER}"
session.use_cookies=1
--COOKIE--
PHPSESSID=visitor
--FILE--
<?php
require __DIR__ . '/common.inc';

session_start();
var_dump(session_id());
$_SESSION['a'] = 1;
session_write_close();
var_dump(stored('visitor'));
?>
--EXPECT--
string(7) "visitor"
string(6) "a|i:1;"
