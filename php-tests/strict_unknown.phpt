--TEST--
In strict mode an unknown id is replaced by a new one
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('session.use_strict_mode', 1);
session_id('attacker');
session_start();
$_SESSION['a'] = 1;
var_dump(session_id() !== 'attacker');
session_write_close();
var_dump(keys() === [KEY . session_id()]);
?>
--EXPECT--
bool(true)
bool(true)
