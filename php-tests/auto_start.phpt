--TEST--
session.auto_start=1 starts the session and saves it
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
not_with_encryption('it looks at the bytes that are stored');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

echo php('$_SESSION["a"] = 1; var_dump(session_status() === PHP_SESSION_ACTIVE);', ['session.auto_start' => 1]);
foreach (keys() as $key) {
    var_dump(redis('GET', $key));
}
?>
--EXPECT--
bool(true)
string(6) "a|i:1;"
