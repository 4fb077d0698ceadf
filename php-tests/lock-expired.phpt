--TEST--
A write after the lock expired is refused
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
store('visitor', 'a|i:1;');
show_messages();
session_id('visitor');
session_start();
$_SESSION['a'] = 2;
redis('DEL', LOCK);
session_write_close();
var_dump(stored('visitor'), keys() === [KEY . 'visitor']);
?>
--EXPECTF--
warning: session_write_close(): Session lock expired: it ended before this request did, or was removed; see redis.session.lock_expire
warning: session_write_close(): Unable to write session: session lock not held; the changes of this request are lost, those of the request that took the lock are kept
warning: session_write_close(): Failed to write session data (redis). %s
string(6) "a|i:1;"
bool(true)
