--TEST--
session_regenerate_id(true) removes the old session and goes on under a new id
--FILE--
<?php
require __DIR__ . '/common.inc';

store('old', 'a|i:1;');
session_id('old');
session_start();
var_dump(session_regenerate_id(true));
$new = session_id();
session_write_close();
var_dump($new !== 'old', stored('old'), stored($new));
?>
--EXPECT--
bool(true)
bool(true)
NULL
string(6) "a|i:1;"
