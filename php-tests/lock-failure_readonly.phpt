--TEST--
lock_failure_readonly=1 goes on without the lock, and cannot write
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
redis('SET', LOCK, 'another-host|1', 'PX', 60000);

store('visitor', 'a|i:1;');
ini_set('redis.session.lock_failure_readonly', '1');
ini_set('redis.session.lock_retries', '5');
show_messages();
session_id('visitor');
var_dump(session_start(), $_SESSION['a']);
$_SESSION['a'] = 2;
session_write_close();
var_dump(stored('visitor'), redis('GET', LOCK));
?>
--EXPECTF--
warning: session_start(): Failed to acquire session lock, session will be read only: Failed to acquire session lock: it is held by another client, such as phpredis; gave up after 0.%d s
bool(true)
int(1)
warning: session_write_close(): Unable to write session: session lock not held
warning: session_write_close(): Failed to write session data (redis). %s
string(6) "a|i:1;"
string(14) "another-host|1"
