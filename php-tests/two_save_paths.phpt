--TEST--
One request can use two save paths one after the other
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
not_with_encryption('it looks at the bytes that are stored');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

session_id('visitor');
foreach (['one', 'two', 'one'] as $i => $prefix) {
    ini_set('session.save_path', save_path("prefix=$prefix%3A"));
    session_start();
    $_SESSION['seen'][] = $i + 1;
    session_write_close();
    $_SESSION = [];
}
var_dump(redis('GET', 'one:visitor'), redis('GET', 'two:visitor'));
?>
--EXPECT--
string(27) "seen|a:2:{i:0;i:1;i:1;i:3;}"
string(19) "seen|a:1:{i:0;i:2;}"
