--TEST--
A signal handler that throws ends the wait
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
needs_extension('pcntl');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
redis('SET', LOCK, 'another-host|1', 'PX', 60000);

ini_set('redis.session.lock_retries', '500');
show_messages();
pcntl_async_signals(true);
pcntl_signal(SIGALRM, static fn () => throw new Exception('time is up'));
pcntl_alarm(1);
session_id('visitor');
$start = microtime(true);
try {
    session_start();
} catch (Exception $e) {
    echo get_class($e), ': ', $e->getMessage(), "\n";
}
var_dump(microtime(true) - $start < 5, session_status() === PHP_SESSION_NONE, array_unique(keys()) === [LOCK]);
?>
--EXPECT--
Exception: time is up
bool(true)
bool(true)
bool(true)
