--TEST--
read_and_close starts the TTL again with early_refresh
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('redis.session.early_refresh', 1);
store('visitor', 'a|i:1;', 50);
session_id('visitor');
session_start(['read_and_close' => true]);
var_dump(lives('visitor', 1440), stored('visitor'));
?>
--EXPECT--
bool(true)
string(6) "a|i:1;"
