--TEST--
A session that phpredis has compressed is not read as garbage, and is kept
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
    'damaged' => '28b52ffd201081000076697369745f63',
];
foreach ($sessions as $codec => $hex) {
    foreach (['0', '1'] as $strict) {
        ini_set('session.use_strict_mode', $strict);
        store($codec, hex2bin($hex));
        session_id($codec);
        var_dump(@session_start());
    }
    session_id($codec);
    session_start();
    var_dump(bin2hex(stored($codec)) === $hex, keys() === [KEY . $codec]);
    redis('DEL', KEY . $codec);
}

// Whoever does not look at what a read says.
ini_set('session.use_strict_mode', '0');
session_set_save_handler(new Careless());
store('lzf', hex2bin($sessions['lzf']));
session_id('lzf');
session_start();
$_SESSION['n'] = 1;
session_write_close();
var_dump(bin2hex(stored('lzf')) === $sessions['lzf']);
?>
--EXPECTF--
bool(false)
bool(false)
warning: session_start(): The session on %s is compressed (lzf), which is not supported yet: phpredis has written it with redis.session.compression; set that to none on every node, and let such sessions expire
warning: session_start(): Failed to read session data: redis (path: %s)
bool(true)
bool(true)
bool(false)
bool(false)
warning: session_start(): The session on %s is compressed (zstd), which is not supported yet: phpredis has written it with redis.session.compression; set that to none on every node, and let such sessions expire
warning: session_start(): Failed to read session data: redis (path: %s)
bool(true)
bool(true)
bool(false)
bool(false)
warning: session_start(): The session on %s is compressed (lz4), which is not supported yet: phpredis has written it with redis.session.compression; set that to none on every node, and let such sessions expire
warning: session_start(): Failed to read session data: redis (path: %s)
bool(true)
bool(true)
bool(false)
bool(false)
warning: session_start(): The session on %s begins like one compressed with zstd, but is damaged
warning: session_start(): Failed to read session data: redis (path: %s)
bool(true)
bool(true)
warning: SessionHandler::read(): The session on %s is compressed (lzf), which is not supported yet: phpredis has written it with redis.session.compression; set that to none on every node, and let such sessions expire
warning: SessionHandler::write(): Unable to write session: it was not read completely, so the stored data are kept
warning: session_write_close(): Failed to write session data using user defined save handler. %s
bool(true)
