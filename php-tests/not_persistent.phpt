--TEST--
persistent=0 closes the connection at the end of the session
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('session.save_path', save_path('persistent=0'));
session_start();
var_dump(array_sum(connections()) > 0);
session_write_close();
$end = microtime(true) + 5;
while (array_sum(connections()) && microtime(true) < $end);
var_dump(array_sum(connections()));
?>
--EXPECT--
bool(true)
int(0)
