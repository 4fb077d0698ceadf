--TEST--
A user who may only read can read, and its write is a warning
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
not_with_locking('a user who may not write cannot take the lock');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

redis('ACL', 'SETUSER', 'reader', 'reset', 'on', '>pw', '~*', '&*', '+@all', '-@write');
store('visitor', 'a|i:1;');
show_messages();
ini_set('session.save_path', save_path('auth[]=reader&auth[]=pw'));
session_id('visitor');
session_start();
var_dump($_SESSION['a']);
$_SESSION['a'] = 2;
session_write_close();
var_dump(stored('visitor'));
redis('ACL', 'DELUSER', 'reader');
?>
--EXPECTF--
int(1)
warning: session_write_close(): Error writing session data to Redis: Error communicating with Redis server %s: NOPERM %s
warning: session_write_close(): Failed to write session data (redis). %s
string(6) "a|i:1;"
