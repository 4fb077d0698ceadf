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

// What is about to expire is kept all the same, from the first read on: it is a logout that wins.
store('other', 'n|i:7;', 60);
foreach (['other', 'visitor'] as $id) {
    session_id($id);
    redis('PEXPIRE', KEY . $id, 1000);
    session_start();
    usleep(1500000);
    $_SESSION['n']++;
    session_write_close();
}
var_dump(stored('other'), stored('visitor'));
redis('ACL', 'DELUSER', 'phpredis');
?>
--EXPECT--
string(6) "n|i:3;"
bool(true)
string(6) "n|i:8;"
string(6) "n|i:4;"
