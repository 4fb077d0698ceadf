--TEST--
What a request destroys, empties by a reset or moves itself, it can start again
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
store('visitor', 'a|i:1;');
session_id('visitor');
session_start();
session_destroy();
session_id('visitor');
session_start();
var_dump($_SESSION);
$_SESSION['new'] = 1;
session_write_close();
var_dump(stored('visitor'));

session_start();
redis('DEL', KEY . 'visitor');
session_reset(); // reads: it is a new session now
var_dump($_SESSION);
$_SESSION['reset'] = 1;
session_write_close();
var_dump(stored('visitor'));

session_start();
session_regenerate_id(true);
$_SESSION['moved'] = 1;
$id = session_id();
session_write_close();
var_dump(stored('visitor'), stored($id), keys() === [KEY . $id]);
?>
--EXPECT--
array(0) {
}
string(8) "new|i:1;"
array(0) {
}
string(10) "reset|i:1;"
NULL
string(20) "reset|i:1;moved|i:1;"
bool(true)
