--TEST--
phpredis decompresses what this handler has compressed, and this handler what phpredis has
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
needs_phpredis();
only_on('tcp', 'the codecs are the same everywhere');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
[$host, $port] = explode(':', preg_replace('~^tcp://|[?/].*$~', '', save_path()));

/** What phpredis' function of that name makes of it. */
function phpredis_does(string $name, string $codec, string $bytes): string
{
    global $host, $port;
    return base64_decode(php('
        $redis = new Redis();
        $redis->connect(' . var_export($host, true) . ', ' . $port . ');
        $redis->setOption(Redis::OPT_COMPRESSION, Redis::COMPRESSION_' . strtoupper($codec) . ');
        echo base64_encode($redis->' . $name . '(base64_decode("' . base64_encode($bytes) . '")));
    ', [], phpredis()));
}

$cart = array_map(fn($i) => ['id' => $i, 'name' => 'thing_' . $i % 7], range(1, 400));
foreach (['lzf', 'zstd', 'lz4'] as $codec) {
    foreach (['php', 'php_serialize'] as $serializer) {
        foreach (['1', '3', '12'] as $level) {
            redis('DEL', KEY . 'cart');
            ini_set('session.serialize_handler', $serializer);
            ini_set('redis.session.compression', $codec);
            ini_set('redis.session.compression_level', $level);
            session_id('cart');
            session_start();
            $_SESSION = ['cart' => $cart];
            $session = session_encode();
            session_write_close();
            if (phpredis_does('_uncompress', $codec, stored('cart')) !== $session) {
                echo "phpredis does not read $codec, level $level\n";
            }
            store('cart', phpredis_does('_compress', $codec, $session));
            var_dump(strlen(stored('cart')) < strlen($session) / 2);
            ini_set('redis.session.compression', 'none');
            session_start(['read_and_close' => true]);
            if ($_SESSION !== ['cart' => $cart]) {
                echo "$codec of phpredis is not read\n";
            }
        }
    }
}
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
