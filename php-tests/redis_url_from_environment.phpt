--TEST--
session.save_path = "${REDIS_URL}" in php.ini takes the URL from the environment
--FILE--
<?php
require __DIR__ . '/common.inc';

echo php('
    session_id("visitor");
    var_dump(session_start());
    $_SESSION["a"] = 1;
', ['session.save_path' => '"${REDIS_URL}"'], env: ['REDIS_URL' => save_path()]);
var_dump(stored('visitor'));
?>
--EXPECT--
bool(true)
string(6) "a|i:1;"
