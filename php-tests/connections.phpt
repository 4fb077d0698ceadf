--TEST--
One process keeps one connection to each server between requests
--FILE--
<?php
require __DIR__ . '/common.inc';

session_id('abcd');
for ($i = 0; $i < 5; $i++) {
    session_start();
    session_write_close();
}
var_dump(max(connections()));
?>
--EXPECT--
int(1)
