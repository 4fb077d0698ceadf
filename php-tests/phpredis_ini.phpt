--TEST--
Beside phpredis, in either order, nobody loses an INI entry
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
needs_phpredis();
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

$ours = getenv('REDIS_SESSION_TEST_SO');
$names = static fn ($extensions) => json_decode(php('echo json_encode(array_keys(ini_get_all()));', [], $extensions));
$expected = array_unique([...$names([$ours]), ...$names(phpredis())]);
foreach ([[...phpredis(), $ours], [$ours, ...phpredis()]] as $extensions) {
    $found = $names($extensions);
    echo json_encode([array_values(array_diff($expected, $found)), array_values(array_diff($found, $expected))]), "\n";
}
?>
--EXPECT--
[[],[]]
[[],[]]
