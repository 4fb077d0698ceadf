--TEST--
An id with white space or NUL never becomes a key
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
foreach (['a b', "a\nb", "a\tb", "a\0b", "\x0b"] as $id) {
    session_id($id);
    @session_start();
    @session_write_close();
}
foreach (keys() as $key) {
    var_dump(preg_match('/^PHPREDIS_SESSION:[a-z0-9,-]+$/', $key));
}
echo "done\n";
?>
--EXPECT--
int(1)
int(1)
int(1)
done
