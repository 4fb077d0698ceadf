--TEST--
A forked child and its parent do not disturb each other's sessions
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
needs_extension('pcntl');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

session_id('parent');
session_start();
$_SESSION['who'] = 'parent';
session_write_close();
$pid = pcntl_fork();
session_id($pid ? 'parent' : 'child');
for ($i = 0; $i < 200; $i++) {
    session_start();
    $_SESSION['who'] = $pid ? 'parent' : 'child';
    $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
    session_write_close();
    $_SESSION = [];
}
if (!$pid) {
    ob_clean();
    exit;
}
pcntl_waitpid($pid, $status);
servers(again: true); // the child has ended the connections of this test
var_dump(stored('parent'), stored('child'));
?>
--EXPECT--
string(25) "who|s:6:"parent";n|i:200;"
string(24) "who|s:5:"child";n|i:200;"
