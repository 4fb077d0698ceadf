--TEST--
A session of 64 MB comes back as it was
--INI--
memory_limit=1G
session.save_handler="${REDIS_SESSION_TEST_HANDLER}"
--FILE--
<?php
require __DIR__ . '/common.inc';

$bytes = random_bytes(64 << 20); // as large in Redis, compressed or not
session_id('large');
session_start();
$_SESSION['bytes'] = $bytes;
session_write_close();
$_SESSION = [];
session_start();
var_dump($_SESSION['bytes'] === $bytes, redis('STRLEN', KEY . 'large') > 64 << 20);
session_abort();
redis('FLUSHALL');
?>
--EXPECT--
bool(true)
bool(true)
