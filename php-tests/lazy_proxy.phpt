--TEST--
An unchanged session is kept alive through a SessionHandler subclass
--FILE--
<?php
require __DIR__ . '/common.inc';

class Proxy extends SessionHandler {}
session_set_save_handler(new Proxy());
store('visitor', 'a|i:1;', 50);
session_id('visitor');
session_start();
session_write_close();
var_dump(stored('visitor'), lives('visitor', 1440));
?>
--EXPECT--
string(6) "a|i:1;"
bool(true)
