--TEST--
Sessions are stored compressed where that is set, and small ones as they are
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();

function visit(string $id, array $data): string
{
    session_id($id);
    session_start();
    $_SESSION = $data;
    $expected = session_encode();
    session_write_close();
    session_id($id);
    session_start(['read_and_close' => true]);
    if ($_SESSION !== $data) {
        echo "not read as it was written\n";
    }
    return $expected;
}

$cart = array_map(fn($i) => ['id' => $i, 'name' => 'thing_' . $i % 7], range(1, 400));
foreach (['lzf', 'zstd', 'lz4'] as $codec) {
    ini_set('redis.session.compression', $codec);
    foreach (['-1', '1', '3', '12', '99'] as $level) {
        ini_set('redis.session.compression_level', $level);
        $expected = visit('cart', ['cart' => $cart, 'level' => $level]);
        $stored = stored('cart');
        if (4 * strlen($stored) > strlen($expected)) {
            echo "$codec $level: ", strlen($stored), " of ", strlen($expected), "\n";
        }
    }
    // Unchanged data keep their bytes, and their time to live starts again.
    redis('EXPIRE', KEY . 'cart', 10);
    session_id('cart');
    session_start();
    session_write_close();
    var_dump(stored('cart') === $stored, redis('TTL', KEY . 'cart') > 1000);
    // Below the threshold, and what does not get smaller.
    var_dump(visit('small', ['n' => 1]) === stored('small'));
    var_dump(visit('random', ['r' => random_bytes(3000)]) === stored('random'));
    ini_set('redis_session.compression_threshold', '100000');
    var_dump(visit('cart', ['cart' => $cart]) === stored('cart'));
    ini_set('redis_session.compression_threshold', '0');
    var_dump(visit('small', ['a' => str_repeat('a', 100)]) !== stored('small'));
    ini_restore('redis_session.compression_threshold');
}

echo "== a new id takes the data along\n";
session_id('cart');
session_start();
$_SESSION['cart'] = $cart;
session_regenerate_id(true);
$id = session_id();
session_write_close();
session_start(['read_and_close' => true]);
var_dump($_SESSION['cart'] === $cart, strlen(stored($id)) < 5000);

echo "== no codec\n";
ini_set('redis.session.compression', 'brotli');
var_dump(visit('none', ['cart' => $cart]) === stored('none'));
?>
--EXPECT--
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
bool(true)
== a new id takes the data along
bool(true)
bool(true)
== no codec
warning: session_start(): redis.session.compression = brotli is unknown, so sessions are stored uncompressed: set it to none, lzf, zstd or lz4
warning: session_start(): redis.session.compression = brotli is unknown, so sessions are stored uncompressed: set it to none, lzf, zstd or lz4
bool(true)
