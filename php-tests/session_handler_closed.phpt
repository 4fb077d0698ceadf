--TEST--
SessionHandler::close() in the middle does not crash PHP
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
$handler = new SessionHandler();
session_set_save_handler($handler);
session_id('visitor');
session_start();
$_SESSION['a'] = 1;
var_dump($handler->close());
var_dump($handler->write('visitor', 'x'));
session_write_close();
echo "end\n";
?>
--EXPECTF--
bool(true)
warning: SessionHandler::write(): Parent session handler is not open
bool(false)
warning: SessionHandler::write(): Parent session handler is not open
warning: session_write_close(): Failed to write session data using user defined save handler. %s
warning: SessionHandler::close(): Parent session handler is not open
end
