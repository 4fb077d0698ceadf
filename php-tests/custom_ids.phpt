--TEST--
Ids that an application chooses are taken as they are
--FILE--
<?php
require __DIR__ . '/common.inc';

foreach (['user:42', 'ümlaut', '日本語', '{tag}x', '_LOCKED', 'a', '../../etc/passwd', str_repeat('x', 256), "\xff\xfe"] as $id) {
    session_id($id);
    session_start();
    $_SESSION['id'] = bin2hex($id);
    session_write_close();
    $_SESSION = [];
    session_start(['read_and_close' => true]);
    var_dump($_SESSION['id'] === bin2hex($id) && stored($id) !== null);
}
?>
--EXPECT--
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
