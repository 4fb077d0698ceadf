--TEST--
stream[verify_peer]=0 takes any certificate
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tls', 'needs a server with TLS');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

$path = preg_replace('/&stream.*/', '', save_path());
ini_set('session.save_path', "$path&stream[verify_peer]=0");
var_dump(session_start());
?>
--EXPECT--
bool(true)
