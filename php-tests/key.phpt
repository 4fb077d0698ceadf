--TEST--
The server holds the key PHPREDIS_SESSION:<id> and nothing else
--FILE--
<?php
require __DIR__ . '/common.inc';

session_start();
$_SESSION['a'] = 1;
$during = keys();
session_write_close();
var_dump($during, keys() === [KEY . session_id()]);
?>
--EXPECT--
array(0) {
}
bool(true)
