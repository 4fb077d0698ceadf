--TEST--
session_destroy() lets the lock go
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
store('visitor', 'a|i:1;');
session_id('visitor');
session_start();
var_dump(redis('GET', LOCK) !== null, session_destroy(), keys());
?>
--EXPECT--
bool(true)
bool(true)
array(0) {
}
