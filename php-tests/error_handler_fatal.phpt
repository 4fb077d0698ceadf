--TEST--
A fatal error inside an error handler during our warning ends the request in order
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
needs_memory_limit();
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

echo php('
    set_error_handler(function ($level, $text) {
        ini_set("memory_limit", "4M");
        str_repeat("x", 1 << 30);
    });
    ini_set("session.save_path", getenv("UNREACHABLE"));
    session_start();
    echo "not reached\n";
', env: ['UNREACHABLE' => unreachable()]);
echo "\nend\n";
?>
--EXPECTF--
%AFatal error: Allowed memory size of %d bytes exhausted%s in %s on line %d
%Aend
