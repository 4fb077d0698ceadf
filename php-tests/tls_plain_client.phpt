--TEST--
No TLS to a server that wants it is a warning, at once
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tls', 'needs a server with TLS');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
ini_set('session.save_path', preg_replace('/&?stream.*/', '', str_replace('tls:', 'tcp:', save_path())));
$start = microtime(true);
var_dump(session_start());
var_dump(microtime(true) - $start < 4);
?>
--EXPECTF--
warning: session_start(): Redis connection not available: 127.0.0.1:%d: login failed: %s: the server wants TLS on this port: write tls:// or rediss:// (or give its port for plain text)
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
bool(true)
