--TEST--
Garbage collection in each request costs no session and no warning
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('session.gc_probability', 1);
ini_set('session.gc_divisor', 1);
store('visitor', 'a|i:1;');
session_id('visitor');
session_start();
var_dump($_SESSION['a']);
session_write_close();
var_dump(stored('visitor'));
?>
--EXPECT--
int(1)
string(6) "a|i:1;"
