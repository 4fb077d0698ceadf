--TEST--
A read only request waits for the lock, takes none and cannot write
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
store('visitor', 'a|i:1;');
redis('SET', LOCK, 'another-host|1', 'PX', 500);
ini_set('redis_session.read_only', '1');
show_messages();
session_id('visitor');
$start = microtime(true);
var_dump(session_start(), microtime(true) - $start > 0.3, $_SESSION['a'], redis('GET', LOCK));
$_SESSION['a'] = 2;
session_write_close();
var_dump(stored('visitor'));
?>
--EXPECTF--
bool(true)
bool(true)
int(1)
NULL
warning: session_write_close(): Unable to write session: redis_session.read_only is on for this request
warning: session_write_close(): Failed to write session data (redis). %s
string(6) "a|i:1;"
