--TEST--
A signal handler that takes up another session in the middle of a wait ends that wait
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
needs_extension('pcntl');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('redis.session.locking_enabled', '1');
ini_set('redis.session.lock_retries', '500');
$waited_for = str_repeat('w', 40);
store($waited_for, 'a|i:1;');
store('other', 'a|i:2;');
redis('SET', KEY . $waited_for . '_LOCK', 'another-host|1', 'PX', 60000);
show_messages();
pcntl_async_signals(true);
pcntl_signal(SIGALRM, static function () use (&$heap) {
    session_abort();
    session_id('other');
    var_dump(session_start(), $_SESSION);
    // What PHP has freed is used again.
    for ($n = 0; $n < 1000; $n++) {
        $heap[] = str_repeat('A', 39) . $n % 10;
    }
    $_SESSION['a'] = 3;
    redis('DEL', KEY . str_repeat('w', 40) . '_LOCK');
});
pcntl_alarm(1);
// A copy of PHP's own: nobody else keeps it.
session_id(str_repeat('w', 20) . str_repeat('w', 20));
var_dump(session_start(), session_status() === PHP_SESSION_NONE);
session_write_close();
$keys = keys();
sort($keys);
var_dump(array_map(static fn ($key) => substr($key, strlen(KEY)), $keys), stored($waited_for));
?>
--EXPECTF--
bool(true)
array(1) {
  ["a"]=>
  int(2)
}
warning: session_start(): Failed to acquire session lock: the wait was interrupted
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
bool(true)
array(2) {
  [0]=>
  string(5) "other"
  [1]=>
  string(40) "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww"
}
string(6) "a|i:1;"
