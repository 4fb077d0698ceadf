--TEST--
session_reset() brings back what is stored
--FILE--
<?php
require __DIR__ . '/common.inc';

store('visitor', 'a|i:1;');
session_id('visitor');
session_start();
$_SESSION['a'] = 2;
store('visitor', 'a|i:7;');
var_dump(session_reset(), $_SESSION['a']);
$_SESSION['a'] = 8;
session_write_close();
var_dump(stored('visitor'));
?>
--EXPECT--
bool(true)
int(7)
string(6) "a|i:8;"
