--TEST--
Session data over memory_limit end the request with PHP's own fatal error, and stay
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
needs_memory_limit();
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

// Far over it: some builds of PHP let a request have somewhat more for a while.
$data = 'a|' . serialize(str_repeat('x', 40 << 20));
store('visitor', $data);
echo php('session_id("visitor"); session_start(); echo "not reached\n";', ['memory_limit' => '4M']);
echo "\n";
var_dump(stored('visitor') === $data);
?>
--EXPECTF--
%A memory %s bytes exhausted %s in %s on line %d%A
bool(true)
