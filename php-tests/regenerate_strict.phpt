--TEST--
session_regenerate_id() works in strict mode
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('session.use_strict_mode', 1);
store('old', 'a|i:1;');
session_id('old');
session_start();
foreach ([false, true] as $delete) {
    $before = session_id();
    var_dump(session_regenerate_id($delete), session_id() !== $before);
}
session_write_close();
var_dump(stored(session_id()), count(keys()));
?>
--EXPECT--
bool(true)
bool(true)
bool(true)
bool(true)
string(6) "a|i:1;"
int(2)
