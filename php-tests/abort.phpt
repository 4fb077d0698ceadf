--TEST--
session_abort() stores nothing
--FILE--
<?php
require __DIR__ . '/common.inc';

store('visitor', 'a|i:1;', 50);
session_id('visitor');
session_start();
$_SESSION['a'] = 2;
var_dump(session_abort(), stored('visitor'), lives('visitor', 50));
?>
--EXPECT--
bool(true)
string(6) "a|i:1;"
bool(true)
