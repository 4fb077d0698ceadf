--TEST--
A variable that PHP has not expanded is named in the warning
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
ini_set('session.save_path', '${REDIS_URL}');
var_dump(session_start());
?>
--EXPECT--
warning: session_start(): Failed to parse session.save_path (error at offset 0, url was '${REDIS_URL}'): ${REDIS_URL} was not replaced: this environment variable is not set, or PHP does not replace variables here (it does so in php.ini)
warning: session_start(): Failed to initialize storage module: redis (path: ${REDIS_URL})
bool(false)
