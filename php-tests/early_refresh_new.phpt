--TEST--
With early_refresh a new session that stays empty is written
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('redis.session.early_refresh', 1);
session_id('visitor');
session_start();
session_write_close();
var_dump(stored('visitor'), lives('visitor', 1440));
?>
--EXPECT--
string(0) ""
bool(true)
