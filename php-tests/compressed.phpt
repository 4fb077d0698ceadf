--TEST--
A session that phpredis has compressed is read whatever the setting says, and what is damaged is kept
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
not_with_encryption('plain sessions are written again');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

class Careless extends SessionHandler
{
    public function read($id): string|false
    {
        return (string) parent::read($id);
    }
}

show_messages();
$sessions = [
    'lzf' => '0f76697369745f636f756e747c693a333b',
    'zstd' => '28b52ffd201081000076697369745f636f756e747c693a333b',
    'lz4' => 'ef10000000f00176697369745f636f756e747c693a333b',
];
foreach ($sessions as $codec => $hex) {
    foreach (['none', 'lzf', 'zstd', 'lz4'] as $setting) {
        foreach (['0', '1'] as $strict) {
            ini_set('redis.session.compression', $setting);
            ini_set('session.use_strict_mode', $strict);
            store($codec, hex2bin($hex));
            session_id($codec);
            session_start(['read_and_close' => true]);
            if ($_SESSION !== ['visit_count' => 3]) {
                var_dump($codec, $setting, $strict, $_SESSION);
            }
            session_id($codec);
            session_start();
            session_write_close();
            if (bin2hex(stored($codec)) !== $hex) {
                echo "an unchanged session was written again: $codec, $setting\n";
            }
        }
    }
    redis('DEL', KEY . $codec);
}

$damaged = [
    'zstd cut' => ['none', '28b52ffd201081000076697369745f63'],
    'zstd too long' => ['lz4', '28b52ffd201081000076697369745f636f756e747c693a333b00'],
    'lz4 cut' => ['lz4', 'ef10000000f00176697369745f636f'],
    'lzf cut' => ['lzf', '1f76697369745f636f756e747c693a333b'],
];
foreach ($damaged as $name => [$setting, $hex]) {
    ini_set('redis.session.compression', $setting);
    echo "== $name\n";
    store('a', hex2bin($hex));
    session_id('a');
    var_dump(session_start());
    var_dump(bin2hex(stored('a')) === $hex, keys() === [KEY . 'a']);
    redis('DEL', KEY . 'a');
}

echo "== whoever does not look at what a read says\n";
ini_set('session.use_strict_mode', '0');
ini_set('redis.session.compression', 'none');
session_set_save_handler(new Careless());
store('a', hex2bin($damaged['zstd cut'][1]));
session_id('a');
session_start();
$_SESSION['n'] = 1;
session_write_close();
var_dump(bin2hex(stored('a')) === $damaged['zstd cut'][1]);
?>
--EXPECTF--
== zstd cut
warning: session_start(): Failed to decompress session data (zstd): the session on %s is damaged: it was cut, or changed by another program; the stored data are kept
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
bool(true)
bool(true)
== zstd too long
warning: session_start(): Failed to decompress session data (zstd): the session on %s is damaged: it was cut, or changed by another program; the stored data are kept
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
bool(true)
bool(true)
== lz4 cut
warning: session_start(): Failed to decompress session data (lz4): the session on %s is damaged: it was cut, or changed by another program; the stored data are kept
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
bool(true)
bool(true)
== lzf cut
warning: session_start(): Failed to decompress session data (lzf): the session on %s is damaged: it was cut, or changed by another program; the stored data are kept
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
bool(true)
bool(true)
== whoever does not look at what a read says
warning: SessionHandler::read(): Failed to decompress session data (zstd): the session on %s is damaged: it was cut, or changed by another program; the stored data are kept
warning: SessionHandler::write(): Unable to write session: it was not read completely, so the stored data are kept
warning: session_write_close(): Failed to write session data using user defined save handler. %s
bool(true)
