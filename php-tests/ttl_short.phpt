--TEST--
A session that is about to expire is kept by a request that may write it, and only by that
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
session_id('visitor');
foreach (['0', '1'] as $strict) {
    ini_set('session.use_strict_mode', $strict);
    foreach ([5 => 1440, 40 => 1440, 60 => 60] as $left => $then) {
        store('visitor', 'a|i:1;', $left);
        session_start();
        echo $left, ': ', var_export(lives('visitor', $then), true), "\n";
        session_abort();
    }
}
store('visitor', 'a|i:1;', 5);
session_start(['read_and_close' => true]);
echo 'read only: ', var_export(lives('visitor', 5), true), "\n";
redis('PERSIST', KEY . 'visitor');
session_start();
var_dump(redis('TTL', KEY . 'visitor'));
session_abort();

// A page that takes longer than the session had left.
store('visitor', 'a|i:1;', 1);
session_start();
usleep(1200000);
$_SESSION['a'] = 2;
session_write_close();
var_dump(stored('visitor'), keys() === [KEY . 'visitor']);
?>
--EXPECT--
5: true
40: true
60: true
5: true
40: true
60: true
read only: true
int(-1)
string(6) "a|i:2;"
bool(true)
