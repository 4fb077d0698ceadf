--TEST--
With early_refresh a changed session is written, and its TTL starts again
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('redis.session.early_refresh', 1);
store('visitor', 'a|i:1;');
session_id('visitor');
session_start();
redis('EXPIRE', KEY . 'visitor', 50);
$_SESSION['a'] = 2;
session_write_close();
var_dump(stored('visitor'), lives('visitor', 1440));
?>
--EXPECT--
string(6) "a|i:2;"
bool(true)
