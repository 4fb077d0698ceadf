--TEST--
session_destroy() removes the session
--FILE--
<?php
require __DIR__ . '/common.inc';

store('visitor', 'a|i:1;');
session_id('visitor');
session_start();
var_dump(session_destroy(), keys(), session_status() === PHP_SESSION_NONE);
?>
--EXPECT--
bool(true)
array(0) {
}
bool(true)
