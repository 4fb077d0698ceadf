--TEST--
A counter continues in the next request, and its bytes are readable in Redis
--FILE--
<?php
require __DIR__ . '/common.inc';

session_id('visitor');
for ($request = 1; $request <= 3; $request++) {
    session_start();
    $_SESSION['visit_count'] = ($_SESSION['visit_count'] ?? 0) + 1;
    session_write_close();
    $_SESSION = [];
}
session_start();
var_dump($_SESSION['visit_count'], stored('visitor'));
?>
--EXPECT--
int(3)
string(16) "visit_count|i:3;"
