--TEST--
In strict mode a known id is kept, also one whose session is empty
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('session.use_strict_mode', 1);
store('full', 'a|i:1;');
store('empty', '');
foreach (['full', 'empty'] as $id) {
    session_id($id);
    session_start();
    echo session_id(), ' ', json_encode($_SESSION), "\n";
    session_write_close();
}
?>
--EXPECT--
full {"a":1}
empty []
