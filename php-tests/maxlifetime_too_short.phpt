--TEST--
A gc_maxlifetime of 0 or less is a notice, and the session lives for 1440 seconds
--FILE--
<?php
require __DIR__ . '/common.inc';

set_error_handler(static function (int $level, string $text) use (&$seen) {
    $seen[preg_replace('/^\w+\(\): /', '', $text)] = $level === E_NOTICE;
});
foreach ([0, -5] as $seconds) {
    ini_set('session.gc_maxlifetime', $seconds);
    session_id("visitor$seconds");
    session_start();
    session_write_close();
    var_dump(lives("visitor$seconds", 1440));
}
var_dump($seen);
?>
--EXPECT--
bool(true)
bool(true)
array(2) {
  ["session.gc_maxlifetime is 0, which keeps no session; using 1440 seconds"]=>
  bool(true)
  ["session.gc_maxlifetime is -5, which keeps no session; using 1440 seconds"]=>
  bool(true)
}
