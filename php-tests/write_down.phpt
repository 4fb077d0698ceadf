--TEST--
A server that goes away before the write is a warning, and the request goes on
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tcp', 'starts a server of its own, so the topology makes no difference');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

$server = new OwnServer();
show_messages();
ini_set('session.save_path', "tcp://127.0.0.1:$server->port");
session_start();
$_SESSION['a'] = 1;
$server->stop();
session_write_close();
?>
--EXPECTF--
warning: session_write_close(): Error writing session data to Redis: Redis connection not available: 127.0.0.1:%d: Connection refused (os error %d) (is the server running and reachable?)
warning: session_write_close(): Failed to write session data (redis). %s
