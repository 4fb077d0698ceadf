--TEST--
A server that is not there is a warning with host and reason, at once, and PHP goes on
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
ini_set('session.save_path', unreachable());
$start = microtime(true);
var_dump(session_start());
var_dump(microtime(true) - $start < 2);
var_dump(session_status() === PHP_SESSION_NONE);
ini_set('session.save_path', save_path());
var_dump(session_start());
?>
--EXPECTF--
warning: session_start(): Redis connection not available: %r((service nobody: no sentinel names the primary|cluster: no node sent the map of the cluster): )?(127\.0\.0\.1:\d+: Connection refused|unix:\S+nobody\.sock: No such file or directory)%r (os error %d) (is the server running and reachable?)
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
bool(true)
bool(true)
bool(true)
