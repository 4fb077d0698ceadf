--TEST--
A small stored session that would become larger than memory_limit is an error, and is kept
--INI--
memory_limit=32M
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
// Frames of 128 KB of zeros each, which take four bytes: 1 GB.
$blocks = 8192;
$frame = "\x28\xb5\x2f\xfd\xa0" . pack('V', $blocks << 17);
$frame .= str_repeat("\x02\x00\x10\x00", $blocks - 1) . "\x03\x00\x10\x00";
store('bomb', $frame);
session_id('bomb');
var_dump(session_start());
var_dump(stored('bomb') === $frame, memory_get_peak_usage() < 8 << 20);
?>
--EXPECTF--
warning: session_start(): Failed to decompress session data (zstd): the session on %s has 1073741824 bytes or more, and memory_limit leaves %d; the stored data are kept
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
bool(true)
bool(true)
