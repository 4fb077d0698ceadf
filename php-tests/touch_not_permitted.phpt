--TEST--
The TTL of an unchanged session that may not be written is a warning
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
not_with_locking('a user who may not write cannot take the lock');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

redis('ACL', 'SETUSER', 'reader', 'reset', 'on', '>pw', '~*', '&*', '+@all', '-@write');
store('visitor', 'a|i:1;', 50);
show_messages();
ini_set('session.save_path', save_path('auth[]=reader&auth[]=pw'));
session_id('visitor');
session_start();
session_write_close();
var_dump(lives('visitor', 50));
redis('ACL', 'DELUSER', 'reader');
?>
--EXPECTF--
warning: session_write_close(): Error writing session data to Redis: Error communicating with Redis server %s: NOPERM %s
warning: session_write_close(): Failed to write session data (redis). %s
bool(true)
