--TEST--
PHP calls a save handler in the order that ARCHITECTURE.md has: so do ours, which have the same functions
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tcp', 'records calls of PHP itself, and asks no server');
not_with_locking('records calls of PHP itself, and asks no server');
--FILE--
<?php
require __DIR__ . '/common.inc';
class Recorder implements SessionHandlerInterface, SessionIdInterface, SessionUpdateTimestampHandlerInterface
{
    public array $calls = [];
    public array $stored = [];

    public function open($path, $name): bool
    {
        $this->calls[] = 'open';
        return true;
    }

    public function close(): bool
    {
        $this->calls[] = 'close';
        return true;
    }

    public function read($id): string|false
    {
        $this->calls[] = 'read';
        return $this->stored[$id] ?? '';
    }

    public function write($id, $data): bool
    {
        $this->calls[] = 'write';
        $this->stored[$id] = $data;
        return true;
    }

    public function destroy($id): bool
    {
        $this->calls[] = 'destroy';
        unset($this->stored[$id]);
        return true;
    }

    public function gc($max_lifetime): int|false
    {
        $this->calls[] = 'gc';
        return 0;
    }

    public function create_sid(): string
    {
        $this->calls[] = 'create_sid';
        return bin2hex(random_bytes(16));
    }

    public function validateId($id): bool
    {
        $this->calls[] = 'validate_sid';
        return isset($this->stored[$id]);
    }

    public function updateTimestamp($id, $data): bool
    {
        $this->calls[] = 'update_timestamp';
        return true;
    }
}

ini_set('session.use_cookies', '0');
ini_set('session.gc_probability', '0');
$recorder = new Recorder();
session_set_save_handler($recorder, false);

/** Prints what PHP calls in a request with this $id that does this with its session. */
function record(string $what, string $id, callable $use, array $options = []): void
{
    global $recorder;
    $recorder->stored = ['known' => 'n|i:1;'];
    $recorder->calls = [];
    ini_set('session.lazy_write', '1');
    session_id($id);
    session_start($options);
    $use();
    session_status() === PHP_SESSION_ACTIVE && session_write_close();
    printf("%s: %s\n", $what, implode(', ', $recorder->calls));
}

foreach (['0', '1'] as $strict) {
    echo "session.use_strict_mode=$strict\n";
    ini_set('session.use_strict_mode', $strict);
    $look = static fn () => null;
    $change = static fn () => $_SESSION['n']++;
    record('unchanged', 'known', $look);
    record('unchanged, lazy_write=0', 'known', $look, ['lazy_write' => false]);
    record('changed', 'known', $change);
    record('no id', '', $look);
    record('unknown id', 'unknown', $look);
    record('read_and_close', 'known', $look, ['read_and_close' => true]);
    record('session_abort', 'known', session_abort(...));
    record('session_reset', 'known', session_reset(...));
    record('session_regenerate_id(false)', 'known', static fn () => session_regenerate_id(false));
    record('session_regenerate_id(true)', 'known', static fn () => session_regenerate_id(true));
    record('session_destroy', 'known', session_destroy(...));
    record('session_gc', 'known', session_gc(...));
}
?>
--EXPECT--
session.use_strict_mode=0
unchanged: open, read, update_timestamp, close
unchanged, lazy_write=0: open, read, write, close
changed: open, read, write, close
no id: open, create_sid, read, write, close
unknown id: open, read, write, close
read_and_close: open, read, close
session_abort: open, read, close
session_reset: open, read, open, read, update_timestamp, close
session_regenerate_id(false): open, read, write, close, open, create_sid, read, write, close
session_regenerate_id(true): open, read, destroy, close, open, create_sid, read, write, close
session_destroy: open, read, destroy, close
session_gc: open, read, gc, update_timestamp, close
session.use_strict_mode=1
unchanged: open, validate_sid, read, update_timestamp, close
unchanged, lazy_write=0: open, validate_sid, read, write, close
changed: open, validate_sid, read, write, close
no id: open, create_sid, read, write, close
unknown id: open, validate_sid, create_sid, read, write, close
read_and_close: open, validate_sid, read, close
session_abort: open, validate_sid, read, close
session_reset: open, validate_sid, read, open, validate_sid, read, update_timestamp, close
session_regenerate_id(false): open, validate_sid, read, write, close, open, create_sid, validate_sid, read, write, close
session_regenerate_id(true): open, validate_sid, read, destroy, close, open, create_sid, validate_sid, read, write, close
session_destroy: open, validate_sid, read, destroy, close
session_gc: open, validate_sid, read, gc, update_timestamp, close
