--TEST--
A server that wants a password and gets none is a warning that says so
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tcp', 'starts a server of its own, so the topology makes no difference');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

$server = new OwnServer('--password', 'secret');
show_messages();
ini_set('session.save_path', "tcp://127.0.0.1:$server->port");
var_dump(session_start());
?>
--EXPECTF--
warning: session_start(): %s: NOAUTH %s
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
