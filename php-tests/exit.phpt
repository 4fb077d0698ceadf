--TEST--
exit() saves the session
--FILE--
<?php
require __DIR__ . '/common.inc';

echo php('session_id("visitor"); session_start(); $_SESSION["a"] = 1; exit("bye\n");');
var_dump(stored('visitor'));
?>
--EXPECT--
bye
string(6) "a|i:1;"
