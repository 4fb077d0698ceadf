--TEST--
Every request that writes gives the session gc_maxlifetime to live again
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('session.gc_maxlifetime', 1000);
session_id('visitor');
session_start();
$_SESSION['n'] = 1;
session_write_close();
var_dump(lives('visitor', 1000));

redis('EXPIRE', KEY . 'visitor', 50);
session_start();
$_SESSION['n'] = 2;
var_dump(lives('visitor', 50));
session_write_close();
var_dump(lives('visitor', 1000));
?>
--EXPECT--
bool(true)
bool(true)
bool(true)
