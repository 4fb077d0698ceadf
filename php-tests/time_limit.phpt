--TEST--
A request that is over its time limit saves the session as far as it got
--FILE--
<?php
require __DIR__ . '/common.inc';

echo php('session_id("visitor"); session_start(); $_SESSION["a"] = 1; set_time_limit(1); while (true);');
var_dump(stored('visitor'));
?>
--EXPECTF--
%AFatal error: Maximum execution time of 1 second exceeded in %s on line %d
string(6) "a|i:1;"
