--TEST--
Sessions of this handler are read by phpredis, from the same host and key
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
not_with_encryption('phpredis cannot decrypt');
needs_phpredis();
not_on('sentinel', 'phpredis keeps no sessions behind sentinels');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('session.save_path', save_path('prefix=shop%3A'));
$ids = ['abcd1', 'bcde2', 'cdef3', '01234', 'user:42'];
foreach ($ids as $id) {
    session_id($id);
    session_start();
    $_SESSION = ['visit_count' => 2, 'text' => "hello $id"];
    session_write_close();
}
$code = 'foreach (' . var_export($ids, true) . ' as $id) {
    session_id($id);
    session_start();
    echo $_SESSION["visit_count"], " ", $_SESSION["text"], "\n";
    session_abort();
}';
echo php($code, [], phpredis(), ['SESSION_SAVE_PATH' => save_path('prefix=shop%3A')]);
?>
--EXPECT--
2 hello abcd1
2 hello bcde2
2 hello cdef3
2 hello 01234
2 hello user:42
