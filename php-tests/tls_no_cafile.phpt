--TEST--
A CA file that cannot be read is a warning that names it
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tls', 'needs a server with TLS');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
ini_set('session.save_path', save_path('stream[cafile]=/nowhere/ca.pem'));
var_dump(session_start());
?>
--EXPECTF--
warning: session_start(): Redis connection not available: 127.0.0.1:%d: cannot read /nowhere/ca.pem: %s
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
