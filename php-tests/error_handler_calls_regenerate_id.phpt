--TEST--
An error handler that calls session_regenerate_id() in the middle of a failing call does not crash PHP
--FILE--
<?php
require __DIR__ . '/common.inc';

$code = '
    ob_start();
    set_error_handler(function ($level, $text) {
        static $depth = 0;
        if ($depth++ === 0) {
            @session_regenerate_id();
        }
        $depth--;
    });
    foreach (["UNREACHABLE", "READ_ONLY", "SESSION_SAVE_PATH"] as $name) {
        ini_set("session.save_path", getenv($name));
        session_id("visitor");
        session_start();
        $_SESSION["a"] = 1;
        session_write_close();
        session_abort();
    }
    echo "end\n";
';
redis('ACL', 'SETUSER', 'reader', 'reset', 'on', '>pw', '~*', '&*', '+@all', '-@write');
echo php($code, env: ['UNREACHABLE' => unreachable(), 'READ_ONLY' => save_path('auth[]=reader&auth[]=pw')]);
redis('ACL', 'DELUSER', 'reader');
var_dump(stored('visitor'));
?>
--EXPECT--
end
string(6) "a|i:1;"
