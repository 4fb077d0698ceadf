--TEST--
An unknown query parameter is a warning, and the session starts
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tcp', 'parses text only, so the topology makes no difference');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
ini_set('session.save_path', save_path('wieght=2'));
var_dump(session_start());
session_write_close();
var_dump(count(keys()));
?>
--EXPECTF--
warning: session_start(): unknown parameter 'wieght' at offset %d of session.save_path is ignored
bool(true)
int(1)
