--TEST--
A server whose certificate nobody known has signed is refused
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tls', 'needs a server with TLS');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
ini_set('session.save_path', preg_replace('/&stream.*/', '', save_path()));
var_dump(session_start());
?>
--EXPECTF--
warning: session_start(): Redis connection not available: 127.0.0.1:%d: TLS handshake failed: invalid peer certificate: no known authority has signed it: its issuer is not among the authorities of this system (UnknownIssuer); it is the certificate of CN=%s, issued by CN=%s; set stream[cafile]=%s
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
