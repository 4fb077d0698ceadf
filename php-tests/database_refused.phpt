--TEST--
A database that the server does not have is a warning that says so
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
not_on('cluster', 'a cluster has one database');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
ini_set('session.save_path', save_path('database=99'));
var_dump(session_start());
?>
--EXPECTF--
warning: session_start(): Redis connection not available: %s: the server refused the login: ERR DB index is out of range%S
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
