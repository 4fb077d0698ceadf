--TEST--
A write that fails at the end of a request is a warning, not a crash
--FILE--
<?php
require __DIR__ . '/common.inc';

echo php('
    ini_set("session.save_path", getenv("UNREACHABLE"));
    class Proxy extends SessionHandler {
        function read($id): string { return "a|i:1;"; }
    }
    session_set_save_handler(new Proxy(), false);
    session_start();
    $_SESSION["a"] = 2;
    echo "end\n";
', env: ['UNREACHABLE' => unreachable()]);
?>
--EXPECTF--
%Aend

Warning: %s: Error writing session data to Redis: Redis connection not available: %s in Unknown on line 0

Warning: PHP Request Shutdown: Failed to write session data using user defined save handler. %s in Unknown on line 0
