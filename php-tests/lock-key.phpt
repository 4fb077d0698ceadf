--TEST--
The lock is the session's key with _LOCK, is held until the end, and nothing stays beside the session
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
session_id('visitor');
session_start();
var_dump(redis('GET', LOCK) !== null, keys());
$_SESSION['a'] = 1;
session_write_close();
var_dump(keys() === [KEY . 'visitor']);
?>
--EXPECTF--
bool(true)
array(1) {
  [0]=>
  string(%d) "PHPREDIS_SESSION:visitor_LOCK"
}
bool(true)
