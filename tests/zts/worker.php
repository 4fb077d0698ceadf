<?php
/*
 * One script for many visits. Each visit ends in another way, native or through
 * a handler in PHP, and prints "ok" if it found its session as it should be.
 * See worker.c.
 */

/** What the server says, on a connection beside the extension's. */
function ask(string ...$command): array
{
    $server = stream_socket_client(ini_get('session.save_path'));
    fwrite($server, implode(' ', $command) . "\r\n");
    $lines = [];
    for ($left = 1; $left > 0 && ($line = fgets($server)) !== false; $left--) {
        if ($line[0] === '*') {
            $left += (int) substr($line, 1);
        } elseif ($line[0] === '$') {
            $lines[] = substr(stream_get_contents($server, (int) substr($line, 1) + 2), 0, -2);
        }
    }
    return $lines;
}

if (isset($_GET['check'])) {
    if ($locks = ask('KEYS', '*_LOCK')) {
        die('locks are left: ' . implode(' ', $locks));
    }
    ob_start();
    (new ReflectionExtension('redis_session'))->info();
    preg_match('~Open handlers of this process\W*(\d+)~', strip_tags(ob_get_clean()), $match);
    die($match[1] === '0' ? 'ok' : "$match[1] handlers are open");
}

final class Ending
{
    const HOWS = ['return', 'throw', 'exit', 'memory', 'fatal'];
    const PLACES = ['page', 'read', 'write', 'close', 'validate', 'keep open', 'abort', 'reset', 'regenerate'];

    public static string $how, $place;
    public static bool $ended;

    public static function at(string $place): void
    {
        if ($place !== self::$place || self::$ended) {
            return;
        }
        self::$ended = true;
        switch (self::$how) {
            case 'throw': throw new Exception('the end');
            case 'exit': exit;
            case 'memory': ini_set('memory_limit', (string) (memory_get_usage(true) + (2 << 20))); str_repeat('x', 1 << 26); break;
            case 'fatal': trigger_error('the end', E_USER_ERROR);
        }
    }
}

final class Proxy extends SessionHandler implements SessionUpdateTimestampHandlerInterface
{
    public function validateId($id): bool { $known = parent::read($id) !== ''; Ending::at('validate'); return $known; }
    public function read($id): string|false { $data = parent::read($id); Ending::at('read'); return $data; }
    public function write($id, $data): bool { Ending::at('write'); return parent::write($id, $data); }
    public function updateTimestamp($id, $data): bool { return $this->write($id, $data); }
    public function close(): bool { Ending::at('close'); return Ending::$place === 'keep open' || parent::close(); }
}

function visit(): void
{
    [$thread, $visit] = [(int) $_GET['thread'], (int) $_GET['visit']];
    if (isset($_SESSION) || session_id() !== '' || ini_get('redis_session.read_only') !== '0') {
        echo 'the visit before has left something. ';
    }
    Ending::$how = Ending::HOWS[$visit % count(Ending::HOWS)];
    Ending::$place = Ending::PLACES[intdiv($visit, count(Ending::HOWS)) % count(Ending::PLACES)];
    Ending::$ended = false;
    $in_handler = in_array(Ending::$place, ['read', 'write', 'close', 'validate', 'keep open'], true);
    if ($in_handler || $visit % 2) {
        session_set_save_handler(new Proxy);
    } else {
        session_set_save_handler(new SessionHandler);
    }
    ini_set('session.use_strict_mode', Ending::$place === 'validate' ? '1' : '0');
    $id = 'w' . $visit % 10;
    session_id($id);
    echo 'ok'; // what follows may be the end of it
    session_start();
    if (($_SESSION['id'] ?? $id) !== $id) {
        echo " but the session is that of {$_SESSION['id']}";
    }
    $_SESSION['id'] = $id;
    switch (Ending::$place) {
        case 'abort': session_abort(); session_id($id); session_start(); break;
        case 'reset': session_reset(); break;
        case 'regenerate': session_regenerate_id(true); break;
    }
    ini_set('redis_session.read_only', '1');
    Ending::at('page');
    Ending::at(Ending::$place === 'keep open' ? 'keep open' : 'nowhere');
}

while (next_visit(visit(...))) {
}
