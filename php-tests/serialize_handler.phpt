--TEST--
The bytes are those of the configured serialize handler
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('session.serialize_handler', 'php_serialize');
session_id('visitor');
session_start();
$_SESSION['a'] = 1;
session_write_close();
var_dump(stored('visitor'));
$_SESSION = [];
session_start();
var_dump($_SESSION['a']);
?>
--EXPECT--
string(18) "a:1:{s:1:"a";i:1;}"
int(1)
