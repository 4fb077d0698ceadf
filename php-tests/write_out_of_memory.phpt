--TEST--
A server without memory is a warning with its reason, and the stored session stays
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
store('visitor', 'a|i:1;');
session_id('visitor');
session_start();
$_SESSION['a'] = 2;
redis('CONFIG', 'SET', 'maxmemory', 1);
session_write_close();
redis('CONFIG', 'SET', 'maxmemory', 0);
var_dump(stored('visitor'));
?>
--EXPECTF--
warning: session_write_close(): Error writing session data to Redis: Error communicating with Redis server %s: OOM %s
warning: session_write_close(): Failed to write session data (redis). %s
string(6) "a|i:1;"
