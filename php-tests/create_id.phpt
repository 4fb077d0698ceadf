--TEST--
session_create_id() makes an unused id, with and without a session
--FILE--
<?php
require __DIR__ . '/common.inc';

var_dump(preg_match('/^pre-[0-9a-zA-Z,-]{22,}$/', session_create_id('pre-')));
session_start();
$own = session_id();
var_dump(preg_match('/^pre-[0-9a-zA-Z,-]{22,}$/', session_create_id('pre-')));
var_dump(session_id() === $own);
$_SESSION['a'] = 1;
session_write_close();
var_dump(stored($own), count(keys()));
?>
--EXPECT--
int(1)
int(1)
bool(true)
string(6) "a|i:1;"
int(1)
