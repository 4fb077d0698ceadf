--TEST--
Signals in the middle of a session do no harm
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
needs_extension('pcntl');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

pcntl_async_signals(true);
$alarms = 0;
pcntl_signal(SIGALRM, static function () use (&$alarms) { $alarms++; pcntl_alarm(1); });
pcntl_alarm(1);
session_id('visitor');
$end = microtime(true) + 2.5;
for ($n = 0; microtime(true) < $end; $n++) {
    session_start();
    $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
    session_write_close();
    $_SESSION = [];
}
var_dump($alarms >= 2, stored('visitor') === "n|i:$n;");
?>
--EXPECT--
bool(true)
bool(true)
