--TEST--
An unchanged session does not overwrite what another request has stored (lazy_write=1)
--FILE--
<?php
require __DIR__ . '/common.inc';

store('visitor', 'a|i:1;');
session_id('visitor');
session_start();
store('visitor', 'a|i:2;');
session_write_close();
var_dump(stored('visitor'));
?>
--EXPECT--
string(6) "a|i:2;"
