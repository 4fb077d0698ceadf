--TEST--
A key that holds no string is a warning, and stays as it is
--FILE--
<?php
require __DIR__ . '/common.inc';

redis('HSET', KEY . 'visitor', 'field', 'value');
show_messages();
session_id('visitor');
var_dump(session_start());
var_dump(redis('TYPE', KEY . 'visitor'));
?>
--EXPECTF--
warning: session_start(): Error communicating with Redis server %s: WRONGTYPE Operation against a key holding the wrong kind of value
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
string(4) "hash"
