--TEST--
phpredis and this handler store the same bytes with the same TTL under the same keys
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
not_with_encryption('phpredis does not encrypt');
needs_phpredis();
not_on('sentinel', 'phpredis keeps no sessions behind sentinels');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

$code = '
    session_id("visitor");
    session_start();
    $_SESSION = ["visit_count" => 2, "variableString" => "hello redis", "n" => [1.5, null, true]];
';
$dump = static fn () => array_map(fn ($key) => [$key, redis('GET', $key), lives(substr($key, strlen(KEY)), 1440)], keys());
echo php($code, [], phpredis());
$theirs = $dump();
redis('FLUSHALL');
echo php($code);
var_dump(count($theirs), $theirs === $dump());
?>
--EXPECT--
int(1)
bool(true)
