--TEST--
An empty session is written
--FILE--
<?php
require __DIR__ . '/common.inc';

session_id('visitor');
session_start();
session_write_close();
var_dump(stored('visitor'), lives('visitor', 1440));
?>
--EXPECT--
string(0) ""
bool(true)
