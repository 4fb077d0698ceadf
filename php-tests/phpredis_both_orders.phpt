--TEST--
Beside phpredis, in either order, phpredis keeps the names redis and rediscluster, and the alias is ours
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
needs_phpredis();
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

$ours = getenv('REDIS_SESSION_TEST_SO');
foreach ([[...phpredis(), $ours], [$ours, ...phpredis()]] as $extensions) {
    echo php('session_start(); echo session_id() ? "ok\n" : "";', ['session.save_handler' => 'redis_session'], $extensions);
    preg_match_all('/^Save handler .*/m', php('', [], $extensions, arguments: ['--ri', 'redis_session']), $lines);
    echo implode("\n", $lines[0]), "\n";
}
var_dump(count(keys()));
?>
--EXPECT--
ok
Save handler redis => served by another extension (phpredis); use session.save_handler = redis_session to choose this one
Save handler rediscluster => served by another extension (phpredis); use session.save_handler = redis_session to choose this one
Save handler redis_session => served by this extension
ok
Save handler redis => served by another extension (phpredis); use session.save_handler = redis_session to choose this one
Save handler rediscluster => served by another extension (phpredis); use session.save_handler = redis_session to choose this one
Save handler redis_session => served by this extension
int(2)
