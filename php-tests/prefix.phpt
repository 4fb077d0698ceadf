--TEST--
prefix= replaces the whole key prefix
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('session.save_path', save_path('prefix=shop%3A'));
session_id('visitor');
session_start();
$_SESSION['a'] = 1;
session_write_close();
echo implode(' ', keys()), "\n";
session_start();
var_dump($_SESSION);
?>
--EXPECT--
shop:visitor
array(1) {
  ["a"]=>
  int(1)
}
