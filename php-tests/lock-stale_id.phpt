--TEST--
A handler that checks one id, and writes another that it never read, stores it and leaves no lock
--INI--
session.use_cookies=0
session.cache_limiter=
--FILE--
<?php
require __DIR__ . '/common.inc';

/** What Symfony's strict handler does: the check of an id reads ahead, and an empty answer serves the next id, too. */
class Strict implements SessionHandlerInterface, SessionUpdateTimestampHandlerInterface
{
    private ?array $ahead = null;

    public function __construct(private SessionHandler $handler) {}

    public function open($path, $name): bool
    {
        return $this->handler->open($path, $name);
    }

    public function close(): bool
    {
        return $this->handler->close();
    }

    public function validateId($id): bool
    {
        $this->ahead = [$id, $this->handler->read($id)];
        return $this->ahead[1] !== '';
    }

    public function read($id): string|false
    {
        [$ahead, $this->ahead] = [$this->ahead, null];
        return $ahead && ($ahead[0] === $id || $ahead[1] === '') ? $ahead[1] : $this->handler->read($id);
    }

    public function write($id, $data): bool
    {
        return $this->handler->write($id, $data);
    }

    public function updateTimestamp($id, $data): bool
    {
        return $this->handler->write($id, $data);
    }

    public function destroy($id): bool
    {
        return $this->handler->destroy($id);
    }

    public function gc($lifetime): int|false
    {
        return 0;
    }
}

show_messages();
ini_set('redis.session.locking_enabled', '1');
ini_set('session.use_strict_mode', '1');
session_set_save_handler(new Strict(new SessionHandler()), false);

session_id('expired');
session_start();
$id = session_id();
$_SESSION['n'] = 1;
session_write_close();
var_dump($id !== 'expired', stored($id), keys() === [KEY . $id]);

for ($visit = 2; $visit < 4; $visit++) {
    session_id($id);
    session_start();
    $_SESSION['n']++;
    session_write_close();
    var_dump(session_id() === $id, stored($id), keys() === [KEY . $id]);
}

session_start();
session_regenerate_id(true);
$moved = session_id();
$_SESSION['user'] = 'alice';
session_write_close();
var_dump($moved !== $id, stored($moved), keys() === [KEY . $moved]);

session_start();
session_destroy();
var_dump(keys());
?>
--EXPECT--
bool(true)
string(6) "n|i:1;"
bool(true)
bool(true)
string(6) "n|i:2;"
bool(true)
bool(true)
string(6) "n|i:3;"
bool(true)
bool(true)
string(23) "n|i:3;user|s:5:"alice";"
bool(true)
array(0) {
}
