--TEST--
Every byte is stored as it is
--FILE--
<?php
require __DIR__ . '/common.inc';

$bytes = implode(array_map('chr', range(0, 255))) . "\r\n\0|;\r\n$5\r\n";
session_id('visitor');
session_start();
$_SESSION['bytes'] = $bytes;
session_write_close();
var_dump(stored('visitor') === 'bytes|' . serialize($bytes));
$_SESSION = [];
session_start();
var_dump($_SESSION['bytes'] === $bytes);
?>
--EXPECT--
bool(true)
bool(true)
