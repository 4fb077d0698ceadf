--TEST--
Handler and save path can be chosen at run time
--FILE--
<?php
require __DIR__ . '/common.inc';

echo php('
    ini_set("session.save_handler", getenv("REDIS_SESSION_TEST_HANDLER"));
    ini_set("session.save_path", getenv("SESSION_SAVE_PATH"));
    session_id("visitor");
    var_dump(session_start());
    $_SESSION["a"] = 1;
', ['session.save_handler' => 'files', 'session.save_path' => '"/nowhere"']);
var_dump(stored('visitor'));
?>
--EXPECT--
bool(true)
string(6) "a|i:1;"
