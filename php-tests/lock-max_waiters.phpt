--TEST--
No more than lock_max_waiters requests wait for a session
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
redis('SET', LOCK, 'another-host|1', 'PX', 60000);

const WAITERS = KEY . 'visitor_WAITERS:2';
// As the server keeps them: place, until when they are counted, how they wait.
[$living, $dead] = [(time() + 60) * 1000, (time() - 1) * 1000];
foreach ([1 => $dead, $living, $living, $living, $dead] as $place => $until) {
    redis('ZADD', WAITERS, $place, "$place:$until:line");
}
ini_set('redis_session.lock_max_waiters', '3');
show_messages();
session_id('visitor');
$start = microtime(true);
var_dump(session_start(), microtime(true) - $start < 1);
session_id('visitor');
ini_set('redis_session.lock_max_waiters', '4');
ini_set('redis.session.lock_retries', '5');
var_dump(session_start(), redis('ZCARD', WAITERS));
?>
--EXPECTF--
warning: session_start(): Failed to acquire session lock: too many requests are already waiting for this session (redis_session.lock_max_waiters = 3)
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
bool(true)
warning: session_start(): Failed to acquire session lock: it is held by another client, such as phpredis; gave up after 0.%d s
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
int(3)
