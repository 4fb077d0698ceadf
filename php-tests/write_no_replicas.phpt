--TEST--
A server that refuses writes is a warning with its reason, and PHP goes on
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
not_with_locking('a server that refuses writes cannot let the lock go');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
session_id('visitor');
session_start();
$_SESSION['a'] = 1;
redis('CONFIG', 'SET', 'min-replicas-to-write', 9);
session_write_close();
redis('CONFIG', 'SET', 'min-replicas-to-write', 0);
session_start();
$_SESSION['a'] = 2;
var_dump(session_write_close(), stored('visitor'));
?>
--EXPECTF--
warning: session_write_close(): Error writing session data to Redis: Error communicating with Redis server %s: NOREPLICAS %s
warning: session_write_close(): Failed to write session data (redis). %s
bool(true)
string(6) "a|i:2;"
