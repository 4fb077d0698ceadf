--TEST--
Session data over memory_limit end the request with PHP's own fatal error
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
needs_memory_limit();
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

store('visitor', 'a|' . serialize(str_repeat('x', 5 << 20)));
echo php('session_id("visitor"); session_start(); echo "not reached\n";', ['memory_limit' => '4M']);
echo "\nend\n";
?>
--EXPECTF--
%AFatal error: Allowed memory size of 4194304 bytes exhausted%s in %s on line %d

end
