--TEST--
Who gives up says who has the lock, and nothing of its token
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
session_id('visitor');
session_start();
$code = 'session_id("visitor"); var_dump(session_start());';
$printed = php($code, ['redis.session.locking_enabled' => 1, 'redis.session.lock_retries' => 10]);
$token = explode(':', redis('GET', LOCK))[1];
$where = getmypid() . ' on ' . gethostname() . ', which runs ' . __FILE__ . ';';
var_dump(str_contains($printed, "by process $where"), str_contains($printed, $token));
echo $printed;
?>
--EXPECTF--
bool(true)
bool(false)

Warning: session_start(): Failed to acquire session lock: it has been held for %f s by process %d on %s, which runs %s; gave up after 0.%d s in %s on line %d

Warning: session_start(): Failed to read session data: redis (path: %s) in %s on line %d
bool(false)
