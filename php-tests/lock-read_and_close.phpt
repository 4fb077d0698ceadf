--TEST--
read_and_close waits for the lock and takes none
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
store('visitor', 'a|i:1;');
redis('SET', LOCK, 'another-host|1', 'PX', 500);
show_messages();
session_id('visitor');
$start = microtime(true);
var_dump(session_start(['read_and_close' => true]), microtime(true) - $start > 0.3, $_SESSION['a']);
var_dump(keys() === [KEY . 'visitor']);
?>
--EXPECT--
bool(true)
bool(true)
int(1)
bool(true)
