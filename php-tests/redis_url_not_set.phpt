--TEST--
A save path whose environment variable is not set is a warning, and no session
--FILE--
<?php
require __DIR__ . '/common.inc';

echo php('var_dump(session_start());', ['session.save_path' => '"${REDIS_URL_OF_NOBODY}"']);
?>
--EXPECTF--
Warning: session_start(): Failed to parse session.save_path (error at offset 0, url was ''): session.save_path is empty: set it, e.g. tcp://127.0.0.1:6379 (an environment variable in it must be set too) in %s on line %d

Warning: session_start(): Failed to initialize storage module: redis (path: ) in %s on line %d
bool(false)
