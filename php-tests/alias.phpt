--TEST--
The name redis_session chooses this handler too
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('session.save_handler', 'redis_session');
session_id('visitor');
session_start();
$_SESSION['a'] = 1;
session_write_close();
var_dump(session_module_name(), stored('visitor'));
?>
--EXPECT--
string(13) "redis_session"
string(6) "a|i:1;"
