--TEST--
session_regenerate_id(false) leaves the old session and goes on under a new id
--FILE--
<?php
require __DIR__ . '/common.inc';

store('old', 'a|i:1;');
session_id('old');
session_start();
$_SESSION['a'] = 2;
var_dump(session_regenerate_id(false));
$new = session_id();
$_SESSION['a'] = 3;
session_write_close();
var_dump($new !== 'old', stored('old'), stored($new), count(keys()));
?>
--EXPECT--
bool(true)
bool(true)
string(6) "a|i:2;"
string(6) "a|i:3;"
int(2)
