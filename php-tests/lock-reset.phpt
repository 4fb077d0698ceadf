--TEST--
session_reset() keeps the lock
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
store('visitor', 'a|i:1;');
session_id('visitor');
session_start();
$before = redis('GET', LOCK);
$_SESSION['a'] = 2;
var_dump(session_reset(), $_SESSION['a'], redis('GET', LOCK) === $before);
$_SESSION['a'] = 3;
var_dump(session_write_close(), stored('visitor'), redis('GET', LOCK));
?>
--EXPECT--
bool(true)
int(1)
bool(true)
bool(true)
string(6) "a|i:3;"
NULL
