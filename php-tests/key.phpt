--TEST--
The server holds the key PHPREDIS_SESSION:<id> and nothing else
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
not_with_locking('it asserts what happens without locking');
?>
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
