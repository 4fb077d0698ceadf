--TEST--
In strict mode a hostile id is replaced without a warning
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('session.use_strict_mode', 1);
store('visitor_LOCK', 'token');
foreach (['visitor_LOCK', "a\x01b", str_repeat('x', 257)] as $id) {
    session_id($id);
    session_start();
    var_dump(session_id() !== $id && strlen(session_id()) >= 22);
    session_destroy();
}
echo implode(' ', keys()), "\n";
?>
--EXPECT--
bool(true)
bool(true)
bool(true)
PHPREDIS_SESSION:visitor_LOCK
