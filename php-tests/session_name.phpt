--TEST--
The session name is no part of the key
--FILE--
<?php
require __DIR__ . '/common.inc';

session_name('SHOP');
session_id('visitor');
session_start();
session_write_close();
echo implode(' ', keys()), "\n";
?>
--EXPECT--
PHPREDIS_SESSION:visitor
