--TEST--
persistent=0 closes the connection at the end of the session
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('session.save_path', save_path('persistent=0'));
session_start();
$open = static function () {
    $lists = array_map(fn ($server) => $server->ask('CLIENT', 'LIST'), servers());
    return substr_count(implode($lists), ' name=redis_session ');
};
var_dump($open());
session_write_close();
$end = microtime(true) + 5;
while ($open() && microtime(true) < $end);
var_dump($open());
?>
--EXPECT--
int(1)
int(0)
