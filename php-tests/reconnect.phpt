--TEST--
A connection that the server has closed in the meantime is replaced without a word
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
store('visitor', 'n|i:0;');
session_id('visitor');
$closed = 0;
for ($i = 1; $i <= 3; $i++) {
    $closed += redis('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    session_start();
    $closed += redis('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    $_SESSION['n']++;
    session_write_close();
}
var_dump(stored('visitor'), $closed >= 5);
?>
--EXPECT--
string(6) "n|i:3;"
bool(true)
