--TEST--
A logout is not undone by a request that has read the session before, whatever that does
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
not_with_locking('the logout waits for the lock');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

set_error_handler(function ($level, $text) {
    echo str_contains($text, 'its changes are lost') ? "its changes are lost\n" : '';
    return true;
});
foreach (['session_destroy();', 'session_regenerate_id(true);'] as $logout) {
    foreach (['1', '0'] as $lazy) {
        foreach (['', "\$_SESSION['b'] = 2;"] as $change) {
            ini_set('session.lazy_write', $lazy);
            store('visitor', 'user|s:5:"alice";');
            session_id('visitor');
            session_start();
            echo php("session_id('visitor'); session_start(); $logout");
            eval($change);
            session_write_close();
            echo "$logout lazy_write=$lazy $change ", var_export(stored('visitor'), true), "\n";
        }
    }
}
?>
--EXPECT--
session_destroy(); lazy_write=1  NULL
its changes are lost
session_destroy(); lazy_write=1 $_SESSION['b'] = 2; NULL
session_destroy(); lazy_write=0  NULL
its changes are lost
session_destroy(); lazy_write=0 $_SESSION['b'] = 2; NULL
session_regenerate_id(true); lazy_write=1  NULL
its changes are lost
session_regenerate_id(true); lazy_write=1 $_SESSION['b'] = 2; NULL
session_regenerate_id(true); lazy_write=0  NULL
its changes are lost
session_regenerate_id(true); lazy_write=0 $_SESSION['b'] = 2; NULL
