--TEST--
A server that stalls in the middle of a session is given up after read_timeout
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tcp', 'starts a server of its own, so the topology makes no difference');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

$server = new OwnServer();
$probe = new Server("tcp://127.0.0.1:$server->port");
show_messages();
ini_set('session.save_path', "tcp://127.0.0.1:$server->port?read_timeout=0.3");
session_id('visitor');
session_start();
$probe->ask('CLIENT', 'PAUSE', 2000, 'ALL');
$_SESSION['a'] = 1;
$start = microtime(true);
session_write_close();
$took = microtime(true) - $start;
var_dump($took >= 0.3 && $took < 1.9);
?>
--EXPECTF--
warning: session_write_close(): Error writing session data to Redis: Error communicating with Redis server 127.0.0.1:%d: no answer within 0.3 s
warning: session_write_close(): Failed to write session data (redis). %s
bool(true)
