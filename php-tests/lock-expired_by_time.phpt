--TEST--
A lock that ends while its request works is not written with
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
ini_set('redis.session.lock_expire', '1');
show_messages();
session_id('visitor');
session_start();
$_SESSION['a'] = 2;
while (redis('GET', LOCK) !== null) {
    usleep(20000);
}
session_write_close();
var_dump(stored('visitor'));
?>
--EXPECTF--
warning: session_write_close(): Session lock expired: %s
warning: session_write_close(): Unable to write session: session lock not held; %s
warning: session_write_close(): Failed to write session data (redis). %s
NULL
