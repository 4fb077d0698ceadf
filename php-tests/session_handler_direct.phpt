--TEST--
The methods of SessionHandler work on any session, and refuse the empty id
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
$handler = new SessionHandler();
session_set_save_handler($handler);
session_id('visitor');
session_start();
var_dump($handler->write('other', 'a|i:1;'), $handler->read('other'), stored('other'));
var_dump($handler->read('missing'), $handler->gc(1), strlen($handler->create_sid()) >= 22);
var_dump($handler->destroy('other'), stored('other'));
var_dump($handler->read(''), $handler->write('', 'x'), $handler->destroy(''));
?>
--EXPECT--
bool(true)
string(6) "a|i:1;"
string(6) "a|i:1;"
string(0) ""
int(0)
bool(true)
bool(true)
NULL
warning: SessionHandler::read(): Invalid session key: the session id is empty
warning: SessionHandler::write(): Invalid session key: the session id is empty
bool(false)
bool(false)
bool(true)
