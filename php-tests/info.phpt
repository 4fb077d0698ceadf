--TEST--
php --ri says who serves which save handler
--FILE--
<?php
require __DIR__ . '/common.inc';

echo php('', arguments: ['--ri', 'redis_session']);
?>
--EXPECTF--
redis_session

Redis session save handler => enabled
Version => %d.%d.%d
Save handler redis => served by this extension
Save handler rediscluster => served by this extension
Save handler redis_session => served by this extension
%A
Directive => Local Value => Master Value
%Aredis.session.early_refresh => 0 => 0
%A
