--TEST--
In strict mode an unreachable server does not cost the visitor the id
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('session.use_strict_mode', 1);
ini_set('session.save_path', unreachable());
store('visitor', 'a|i:1;');
session_id('visitor');
var_dump(@session_start());
ini_set('session.save_path', save_path());
session_id('visitor');
session_start();
var_dump(session_id(), $_SESSION['a']);
?>
--EXPECT--
bool(false)
string(7) "visitor"
int(1)
