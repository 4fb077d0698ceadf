--TEST--
session_gc() removes nothing and says 0
--FILE--
<?php
require __DIR__ . '/common.inc';

store('other', 'a|i:1;');
session_start();
var_dump(session_gc(), stored('other'));
?>
--EXPECT--
int(0)
string(6) "a|i:1;"
