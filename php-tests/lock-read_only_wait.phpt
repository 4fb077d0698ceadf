--TEST--
read_only_wait=0 reads at once, whoever has the lock
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
redis('SET', LOCK, 'another-host|1', 'PX', 60000);

store('visitor', 'a|i:1;');
ini_set('redis_session.read_only_wait', '0');
show_messages();
session_id('visitor');
var_dump(session_start(['read_and_close' => true]), $_SESSION['a']);
ini_set('redis_session.read_only', '1');
var_dump(session_start(), $_SESSION['a']);
session_abort();
var_dump(redis('GET', LOCK));
?>
--EXPECT--
bool(true)
int(1)
bool(true)
int(1)
string(14) "another-host|1"
