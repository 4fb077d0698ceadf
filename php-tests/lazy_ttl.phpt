--TEST--
An unchanged session keeps its data and its TTL starts again (lazy_write=1)
--FILE--
<?php
require __DIR__ . '/common.inc';

store('visitor', 'a|i:1;', 50);
session_id('visitor');
session_start();
session_write_close();
var_dump(stored('visitor'), lives('visitor', 1440));
?>
--EXPECT--
string(6) "a|i:1;"
bool(true)
