--TEST--
One process keeps one connection to each server between requests
--FILE--
<?php
require __DIR__ . '/common.inc';

session_id('abcd');
for ($i = 0; $i < 5; $i++) {
    session_start();
    session_write_close();
}
$ours = preg_grep('/ name=redis_session /', explode("\n", redis('CLIENT', 'LIST')) ?: []);
if (topology() === 'weights') {
    $ours = preg_grep('/ name=redis_session /', explode("\n", servers()[1]->ask('CLIENT', 'LIST')));
}
var_dump(count($ours));
?>
--EXPECT--
int(1)
