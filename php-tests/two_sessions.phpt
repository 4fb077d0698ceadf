--TEST--
One request can use two sessions one after the other
--FILE--
<?php
require __DIR__ . '/common.inc';

foreach (['first' => 1, 'second' => 2] as $id => $value) {
    session_id($id);
    session_start();
    $_SESSION = ['value' => $value];
    session_write_close();
}
var_dump(stored('first'), stored('second'));
?>
--EXPECT--
string(10) "value|i:1;"
string(10) "value|i:2;"
