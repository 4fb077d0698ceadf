--TEST--
An uncaught exception saves the session as far as it got
--FILE--
<?php
require __DIR__ . '/common.inc';

echo php('session_id("visitor"); session_start(); $_SESSION["a"] = 1; throw new Exception("thrown");');
var_dump(stored('visitor'));
?>
--EXPECTF--
%AFatal error: Uncaught Exception: thrown in %A
string(6) "a|i:1;"
