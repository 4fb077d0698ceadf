--TEST--
Sessions of no bytes, 1 KB and 1 MB come back as they were
--FILE--
<?php
require __DIR__ . '/common.inc';

foreach ([0, 1024, 1 << 20] as $size) {
    $bytes = $size ? random_bytes($size) : '';
    session_id("size-$size");
    session_start();
    $_SESSION['bytes'] = $bytes;
    session_write_close();
    $_SESSION = [];
    session_start();
    var_dump($_SESSION['bytes'] === $bytes, redis('STRLEN', KEY . "size-$size") > $size);
    session_write_close();
}
?>
--EXPECT--
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
