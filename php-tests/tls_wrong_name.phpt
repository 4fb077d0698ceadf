--TEST--
A server whose certificate is for another name is refused, unless its name is not verified
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tls', 'needs a server with TLS');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
ini_set('session.save_path', save_path('stream[peer_name]=example.com'));
var_dump(session_start());
ini_set('session.save_path', save_path('stream[peer_name]=example.com&stream[verify_peer_name]=0'));
var_dump(session_start());
?>
--EXPECTF--
warning: session_start(): Redis connection not available: 127.0.0.1:%d: TLS handshake failed: invalid peer certificate: it is not valid for example.com: it is for %s (NotValidForName); it is the certificate of CN=%s
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
bool(true)
