--TEST--
A server that accepts but never answers is given up after the timeout
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tcp', 'listens itself, so the topology makes no difference');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

$silent = stream_socket_server('tcp://127.0.0.1:0');
show_messages();
ini_set('session.save_path', 'tcp://' . stream_socket_get_name($silent, false) . '?timeout=0.3&read_timeout=0.3');
$start = microtime(true);
var_dump(session_start());
$took = microtime(true) - $start;
var_dump($took >= 0.3 && $took < 2);
?>
--EXPECTF--
warning: session_start(): Redis connection not available: 127.0.0.1:%d: login failed: no answer within 0.3 s
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
bool(true)
