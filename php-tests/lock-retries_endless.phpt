--TEST--
lock_retries=-1 waits until the lock is free
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
redis('SET', LOCK, 'another-host|1', 'PX', 1500);
ini_set('redis.session.lock_retries', '-1');
ini_set('redis.session.lock_wait_time', '1000');
show_messages();
session_id('visitor');
$start = microtime(true);
var_dump(session_start(), microtime(true) - $start > 1);
$_SESSION['a'] = 1;
var_dump(session_write_close(), stored('visitor'));
?>
--EXPECT--
bool(true)
bool(true)
bool(true)
string(6) "a|i:1;"
