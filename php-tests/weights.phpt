--TEST--
The host of a session follows from the first four bytes of its id and the weights
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('weights', 'needs several servers');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

// The last server owns the first places: with weights 1 and 2, 0 and 1 are
// the second server's and 2 is the first's. Place: id as little-endian, mod 3.
$second = ['abcd', '0123', 'a', 'ab', 'user:42', '00'];
$first = ['bcde', 'zzzz9', 'deadbeef', 'A1B2C3'];
foreach ([...$first, ...$second] as $id) {
    session_id($id);
    session_start();
    session_write_close();
}
foreach (servers() as $i => $server) {
    $ids = array_map(fn ($key) => substr($key, strlen(KEY)), $server->ask('KEYS', '*'));
    sort($ids);
    echo $i, ': ', implode(' ', $ids), "\n";
}
?>
--EXPECT--
0: A1B2C3 bcde deadbeef zzzz9
1: 00 0123 a ab abcd user:42
