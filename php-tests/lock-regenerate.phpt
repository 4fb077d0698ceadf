--TEST--
A new id is locked, and the old one let go
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
store('visitor', 'a|i:1;');
session_id('visitor');
session_start();
session_regenerate_id();
$new = KEY . session_id();
var_dump(redis('GET', LOCK), redis('GET', "{$new}_LOCK") !== null);
session_write_close();
$keys = [$new, KEY . 'visitor'];
sort($keys);
var_dump(keys() === $keys);
?>
--EXPECT--
NULL
bool(true)
bool(true)
