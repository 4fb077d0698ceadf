--TEST--
With early_refresh the TTL starts again at the read
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('redis.session.early_refresh', 1);
store('visitor', 'a|i:1;', 50);
session_id('visitor');
session_start();
var_dump($_SESSION['a'], lives('visitor', 1440));
?>
--EXPECT--
int(1)
bool(true)
