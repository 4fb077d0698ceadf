--TEST--
A user who may not ask for a time to live has sessions all the same
--FILE--
<?php
require __DIR__ . '/common.inc';

redis('ACL', 'SETUSER', 'phpredis', 'reset', 'on', '>pw', '~*', '&*', '+@all', '-pttl');
show_messages();
ini_set('session.save_path', save_path('auth[]=phpredis&auth[]=pw'));
session_id('visitor');
for ($i = 0; $i < 3; $i++) {
    session_start();
    $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
    session_write_close();
}
var_dump(stored('visitor'), keys() === [KEY . 'visitor']);
redis('ACL', 'DELUSER', 'phpredis');
?>
--EXPECT--
string(6) "n|i:3;"
bool(true)
