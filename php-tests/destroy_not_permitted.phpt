--TEST--
A session that may not be destroyed is a warning, and stays
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
var_dump(session_destroy(), stored('visitor'));
redis('ACL', 'DELUSER', 'reader');
?>
--EXPECTF--
warning: session_destroy(): Error communicating with Redis server %s: NOPERM %s
warning: session_destroy(): Session object destruction failed
bool(false)
string(6) "a|i:1;"
