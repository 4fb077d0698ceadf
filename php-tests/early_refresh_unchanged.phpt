--TEST--
With early_refresh an unchanged session is not touched at the end
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
not_with_encryption('plain sessions are written again');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('redis.session.early_refresh', 1);
store('visitor', 'a|i:1;');
session_id('visitor');
session_start();
redis('EXPIRE', KEY . 'visitor', 50);
session_write_close();
var_dump(lives('visitor', 50));
?>
--EXPECT--
bool(true)
