--TEST--
TLS to a server without it is a warning, at once
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tcp', 'needs a server without TLS on a port');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
ini_set('session.save_path', str_replace('tcp:', 'tls:', save_path('stream[verify_peer]=0&timeout=0.5')));
$start = microtime(true);
var_dump(session_start());
var_dump(microtime(true) - $start < 4);
?>
--EXPECTF--
warning: session_start(): Redis connection not available: 127.0.0.1:%d: TLS handshake failed: the server answers in plain text: there is no TLS on this port; write tcp:// or redis://, or give the port that has TLS
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
bool(true)
