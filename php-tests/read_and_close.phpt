--TEST--
read_and_close does not start the TTL again
--FILE--
<?php
require __DIR__ . '/common.inc';

store('visitor', 'a|i:1;', 50);
session_id('visitor');
session_start(['read_and_close' => true]);
$_SESSION['a']++;
var_dump($_SESSION['a'], lives('visitor', 50), stored('visitor'));
?>
--EXPECT--
int(2)
bool(true)
string(6) "a|i:1;"
