--TEST--
ini_restore() brings back each setting of the extension
--FILE--
<?php
require __DIR__ . '/common.inc';

$changed = 0;
foreach (['redis.session', 'redis_session'] as $prefix) {
    foreach (array_filter(ini_get_all(null, false), static fn ($name) => str_starts_with($name, "$prefix."), ARRAY_FILTER_USE_KEY) as $name => $value) {
        if (ini_set($name, '7') === false) {
            continue; // for php.ini alone
        }
        $changed++;
        ini_set($name, '8');
        ini_restore($name);
        if (ini_get($name) !== $value) {
            echo "$name is ", ini_get($name), " and was $value\n";
        }
    }
}
var_dump($changed >= 12);
?>
--EXPECT--
bool(true)
