--TEST--
session_create_id() without a session needs no server
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('session.save_path', unreachable());
var_dump(strlen(session_create_id()) >= 22);
?>
--EXPECT--
bool(true)
