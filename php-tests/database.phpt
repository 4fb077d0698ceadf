--TEST--
database= chooses the database
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
not_on('cluster', 'a cluster has one database');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('session.save_path', save_path('database=5'));
session_id('visitor');
session_start();
$_SESSION['a'] = 1;
session_write_close();
var_dump(stored('visitor'));
redis('SELECT', 5);
var_dump(stored('visitor'));
?>
--EXPECT--
NULL
string(6) "a|i:1;"
