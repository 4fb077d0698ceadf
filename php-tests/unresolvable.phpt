--TEST--
A host name that does not exist is a warning that names it
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tcp', 'asks no server, so the topology makes no difference');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
ini_set('session.save_path', 'tcp://no-such-host.invalid:6379');
var_dump(session_start());
?>
--EXPECTF--
warning: session_start(): Redis connection not available: no-such-host.invalid:6379: %s
warning: session_start(): Failed to read session data: redis (path: tcp://no-such-host.invalid:6379)
bool(false)
