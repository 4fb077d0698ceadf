--TEST--
A lock is waited for lock_retries times lock_wait_time
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
redis('SET', LOCK, 'another-host|1', 'PX', 60000);

function gives_up_after(string $retries, string $wait): float
{
    ini_set('redis.session.lock_retries', $retries);
    ini_set('redis.session.lock_wait_time', $wait);
    session_id('visitor');
    $start = microtime(true);
    var_dump(@session_start());
    return microtime(true) - $start;
}
$short = gives_up_after('2', '50000');
$long = gives_up_after('40', '20000');
$default = gives_up_after('0', '0');
var_dump($short >= 0.1 && $short < 0.7, $long >= 0.8 && $long < 1.8, $default >= 2 && $default < 5);
var_dump(redis('GET', LOCK));
?>
--EXPECT--
bool(false)
bool(false)
bool(false)
bool(true)
bool(true)
bool(true)
string(14) "another-host|1"
