--TEST--
Locking is off unless it is turned on, and can be turned on at run time
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
not_with_locking('it asserts what happens without locking');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
redis('SET', LOCK, 'another-host|1', 'PX', 60000);

ini_set('redis.session.lock_retries', '5');
show_messages();
session_id('visitor');
var_dump(session_start());
session_write_close();
ini_set('redis.session.locking_enabled', '1');
var_dump(session_start());
?>
--EXPECTF--
bool(true)
warning: session_start(): Failed to acquire session lock: it is held by another client, such as phpredis; gave up after %f s
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
