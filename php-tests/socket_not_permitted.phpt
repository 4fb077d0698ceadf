--TEST--
A socket that PHP's user may not open is a warning that says so
--EXTENSIONS--
posix
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
not_with_encryption('its other user may not read the file of keys');
only_on('tcp', 'asks no server, so the topology makes no difference');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

$folder = getenv('REDIS_SESSION_TEST_DIR') . '/closed-' . getmypid();
mkdir($folder, 0);
// Root may open everything.
posix_geteuid() === 0 && posix_setuid(65534);

show_messages();
ini_set('session.save_path', "unix://$folder/redis.sock");
var_dump(session_start());
?>
--EXPECTF--
warning: session_start(): Redis connection not available: unix:%sredis.sock: Permission denied (os error 13) (is the user that PHP runs as allowed to open it?)
warning: session_start(): Failed to read session data: redis (path: unix:%sredis.sock)
bool(false)
