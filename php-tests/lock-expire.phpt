--TEST--
lock_expire is how long a lock lasts; 0 is max_execution_time, or 10 seconds where that is 0
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
function lock_lasts(string $expire, int $limit): string
{
    ini_set('redis.session.lock_expire', $expire);
    ini_set('max_execution_time', $limit);
    session_id('visitor');
    session_start();
    $ms = redis('PTTL', LOCK);
    session_abort();
    ini_set('max_execution_time', 0);
    return (string) (int) ceil($ms / 1000);
}
echo implode(' ', [lock_lasts('5', 0), lock_lasts('5', 30), lock_lasts('0', 30), lock_lasts('0', 0)]), "\n";
?>
--EXPECT--
5 5 30 10
