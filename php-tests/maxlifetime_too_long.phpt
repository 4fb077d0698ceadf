--TEST--
A gc_maxlifetime over 2147483647 is a notice, and the session lives that long
--FILE--
<?php
require __DIR__ . '/common.inc';

set_error_handler(static function (int $level, string $text) use (&$seen) {
    $seen[preg_replace('/^\w+\(\): /', '', $text)] = $level === E_NOTICE;
});
foreach (['2147483647', '2147483648', '9223372036854775807'] as $seconds) {
    ini_set('session.gc_maxlifetime', $seconds);
    session_id("visitor$seconds");
    session_start();
    session_write_close();
    var_dump(lives("visitor$seconds", 2147483647));
}
var_dump($seen);
?>
--EXPECT--
bool(true)
bool(true)
bool(true)
array(2) {
  ["session.gc_maxlifetime is 2147483648, which is too long; using 2147483647 seconds"]=>
  bool(true)
  ["session.gc_maxlifetime is 9223372036854775807, which is too long; using 2147483647 seconds"]=>
  bool(true)
}
