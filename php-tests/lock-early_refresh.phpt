--TEST--
With early_refresh a locked session's TTL starts again when it is read
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
store('visitor', 'a|i:1;', 100);
ini_set('redis.session.early_refresh', '1');
session_id('visitor');
session_start();
var_dump(lives('visitor', 1440));
session_write_close();
store('visitor', 'a|i:1;', 100);
ini_set('redis.session.early_refresh', '0');
session_start();
var_dump(lives('visitor', 100));
session_write_close();
var_dump(lives('visitor', 1440), keys() === [KEY . 'visitor']);
?>
--EXPECT--
bool(true)
bool(true)
bool(true)
bool(true)
