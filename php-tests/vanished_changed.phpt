--TEST--
A changed session that was removed while a request used it stays away, and the request hears of it
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
foreach ([1, 5000] as $size) {
    store('visitor', 'a|i:1;');
    session_id('visitor');
    session_start();
    $_SESSION['b'] = str_repeat('b', $size);
    redis('DEL', KEY . 'visitor');
    session_write_close();
    var_dump(keys());
}
session_start();
var_dump($_SESSION);
$_SESSION['c'] = 1;
session_write_close();
var_dump(stored('visitor'));
?>
--EXPECTF--
warning: session_write_close(): Unable to write session: it was destroyed or removed while this request ran; its changes are lost
warning: session_write_close(): Failed to write session data (redis). %s
array(0) {
}
warning: session_write_close(): Unable to write session: it was destroyed or removed while this request ran; its changes are lost
warning: session_write_close(): Failed to write session data (redis). %s
array(0) {
}
array(0) {
}
string(6) "c|i:1;"
