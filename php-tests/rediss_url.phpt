--TEST--
A rediss:// URL with user, password and database works as it is
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tls', 'needs a server with TLS');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

preg_match('~^tls://([^?]+)\?.*(stream.*)$~', save_path(), $parts);
ini_set('session.save_path', "rediss://sessions:p%40ss%26w%3Drd@$parts[1]/2?$parts[2]");
session_id('visitor');
var_dump(session_start());
$_SESSION['a'] = 1;
session_write_close();
var_dump(stored('visitor'));
?>
--EXPECT--
bool(true)
string(6) "a|i:1;"
