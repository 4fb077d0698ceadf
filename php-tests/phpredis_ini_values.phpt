--TEST--
Beside phpredis, in either order, a setting in php.ini reaches this handler
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
needs_phpredis();
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

$ours = getenv('REDIS_SESSION_TEST_SO');
$ini = ['session.save_handler' => 'redis_session', 'redis.session.early_refresh' => 1];
foreach ([[...phpredis(), $ours], [$ours, ...phpredis()]] as $extensions) {
    store('visitor', 'a|i:1;', 50);
    echo php('session_id("visitor"); session_start(["read_and_close" => true]);', $ini, $extensions);
    var_dump(lives('visitor', 1440));
}
?>
--EXPECT--
bool(true)
bool(true)
