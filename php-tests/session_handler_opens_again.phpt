--TEST--
SessionHandler::open() while a session is open goes on with the new save path
--FILE--
<?php
require __DIR__ . '/common.inc';

$handler = new SessionHandler();
session_set_save_handler($handler);
session_id('visitor');
session_start();
$_SESSION['a'] = 1;
var_dump($handler->open(save_path('prefix=other%3A'), 'x'));
session_write_close();
echo implode(' ', keys()), "\n";
?>
--EXPECT--
bool(true)
other:visitor
