--TEST--
A fatal error in the middle of a request saves the session as far as it got
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
needs_memory_limit();
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

echo php('
    session_id("visitor");
    session_start();
    $_SESSION["a"] = 1;
    ini_set("memory_limit", "4M");
    str_repeat("x", 1 << 30);
');
var_dump(stored('visitor'));
?>
--EXPECTF--
%AFatal error: Allowed memory size of %d bytes exhausted%s in %s on line %d
string(6) "a|i:1;"
