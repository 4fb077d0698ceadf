--TEST--
Destroying a session that is not there succeeds
--FILE--
<?php
require __DIR__ . '/common.inc';

session_id('visitor');
session_start();
redis('FLUSHALL');
var_dump(session_destroy());
?>
--EXPECT--
bool(true)
