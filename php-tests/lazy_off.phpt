--TEST--
With lazy_write=0 an unchanged session is written
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('session.lazy_write', 0);
store('visitor', 'a|i:1;');
session_id('visitor');
session_start();
store('visitor', 'a|i:2;');
session_write_close();
var_dump(stored('visitor'));
?>
--EXPECT--
string(6) "a|i:1;"
