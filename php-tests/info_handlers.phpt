--TEST--
phpinfo() lists all names among the registered save handlers
--FILE--
<?php
require __DIR__ . '/common.inc';

preg_match('/^Registered save handlers => (.*)$/m', php('phpinfo(INFO_MODULES);'), $match);
echo $match[1], "\n";
?>
--EXPECTF--
files user redis rediscluster redis_session%w
