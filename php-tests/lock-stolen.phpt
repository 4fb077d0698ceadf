--TEST--
A write is refused where another has the lock, which stays theirs
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
show_messages();
session_id('visitor');
session_start();
$_SESSION['a'] = 2;
redis('SET', LOCK, 'another-host|1', 'PX', 60000);
session_write_close();
var_dump(stored('visitor'), redis('GET', LOCK));
?>
--EXPECTF--
warning: session_write_close(): Session lock expired: %s
warning: session_write_close(): Unable to write session: session lock not held; %s
warning: session_write_close(): Failed to write session data (redis). %s
NULL
string(14) "another-host|1"
