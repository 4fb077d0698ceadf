--TEST--
A script that serves many visits: a setting of one visit does not count for the next
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
needs_ffi();
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

echo php(<<<'CODE'
    require $_SERVER['VISITS'];
    ob_start();
    ini_set('redis.session.early_refresh', '1'); // before the first visit: for all of them
    $show = static fn () => print(ini_get('redis_session.read_only') . ini_get('redis.session.early_refresh')
        . ini_get('redis_session.failover_timeout') . ' ');
    $visits = [
        function () { ini_set('redis_session.read_only', '1'); ini_set('redis.session.early_refresh', '0'); },
        function () { ini_set('redis_session.failover_timeout', '2'); ini_set('redis_session.failover_timeout', '3'); },
        function () { ini_set('redis.session.early_refresh', '0'); ini_restore('redis.session.early_refresh'); },
        function () { ini_set('redis_session.read_only', '1'); ini_restore('redis_session.read_only'); },
        function () {},
    ];
    end_of_visit();
    ini_set('redis.session.early_refresh', '2');
    foreach ($visits as $visit) {
        begin_visit();
        $show();
        $visit();
        $show();
        end_of_visit();
        echo "\n";
    }
    CODE, ini: ['redis_session.read_only' => 0, 'redis_session.failover_timeout' => 1], extensions: with_ffi(), env: ['VISITS' => __DIR__ . '/visits.inc']);
?>
--EXPECT--
021 101 
021 023 
021 001 
021 021 
021 021 
