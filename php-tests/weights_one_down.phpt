--TEST--
A session whose host is down fails, and those of the other host go on
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('weights', 'needs several servers');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

$servers = explode(', ', save_path());
ini_set('session.save_path', "$servers[0], " . unreachable('weight=2'));
show_messages();
foreach (['bcde', 'abcd'] as $id) {
    session_id($id);
    var_dump(session_start());
    session_write_close();
}
echo implode(' ', keys()), "\n";
?>
--EXPECTF--
bool(true)
warning: session_start(): Redis connection not available: 127.0.0.1:%d: Connection refused %s
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
PHPREDIS_SESSION:bcde
