--TEST--
An unchanged session whose key has vanished is stored again with all its data
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
not_with_locking('the server forgets the lock too');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

store('visitor', 'a|i:1;');
session_id('visitor');
session_start();
redis('FLUSHALL');
session_write_close();
var_dump(stored('visitor'), lives('visitor', 1440));
?>
--EXPECT--
string(6) "a|i:1;"
bool(true)
