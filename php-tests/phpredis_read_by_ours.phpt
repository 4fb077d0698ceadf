--TEST--
Sessions of phpredis are read by this handler, from the same host and key
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
needs_phpredis();
not_on('sentinel', 'phpredis keeps no sessions behind sentinels');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

$ids = ['abcd1', 'bcde2', 'cdef3', '01234', 'user:42'];
$code = 'foreach (' . var_export($ids, true) . ' as $id) {
    session_id($id);
    session_start();
    $_SESSION = ["visit_count" => 2, "text" => "hello $id"];
    session_write_close();
}';
ini_set('session.save_path', save_path('prefix=shop%3A'));
echo php($code, [], phpredis(), ['SESSION_SAVE_PATH' => save_path('prefix=shop%3A')]);
foreach ($ids as $id) {
    session_id($id);
    session_start();
    echo $_SESSION['visit_count'], ' ', $_SESSION['text'], "\n";
    session_abort();
}
?>
--EXPECT--
2 hello abcd1
2 hello bcde2
2 hello cdef3
2 hello 01234
2 hello user:42
