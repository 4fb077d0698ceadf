--TEST--
Whatever a signal handler does with the session in the middle of a wait, nobody is left in the queue
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
needs_extension('pcntl');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

ini_set('redis.session.locking_enabled', '1');
ini_set('redis.session.lock_retries', '60');
set_error_handler(static fn () => true);
pcntl_async_signals(true);

class Proxy extends SessionHandler
{
    public function read($id): string|false { return parent::read($id); }
}

$lock = KEY . 'visitor_LOCK';
$ways = [
    'session_write_close' => static fn () => session_write_close(),
    'session_abort' => static fn () => session_abort(),
    'session_destroy' => static fn () => session_destroy(),
    'session_reset' => static fn () => session_reset(),
    'session_create_id' => static fn () => session_create_id(),
    'session_regenerate_id' => static fn () => session_regenerate_id(),
    'the same session' => static fn () => session_abort() && session_start(),
    'another session' => static fn () => session_abort() && session_id('other') && session_start(),
    'another read' => static fn () => (new SessionHandler)->read('other'),
    'throw' => static fn () => throw new Exception('thrown'),
];
foreach ([false, true] as $proxied) {
    if ($proxied) {
        // PHP calls no handler from within another one: that is left for the end of the request.
        session_set_save_handler(new Proxy);
        $ways = array_intersect_key($ways, ['session_abort' => 1, 'session_reset' => 1, 'throw' => 1]);
        if (PHP_DEBUG || getenv('REDIS_SESSION_TEST_MEMCHECK') === '1') {
            unset($ways['session_reset']); // PHP loses the arguments of the call that it refuses
        }
    }
    foreach ($ways as $name => $way) {
        redis('FLUSHALL');
        store('visitor', 'a|i:1;');
        // Its holder hands over to nobody; it does not come back.
        redis('SET', $lock, 'rs1:' . str_repeat('0', 32) . ':0:1:host:script', 'PX', 60000);
        pcntl_signal(SIGALRM, static function () use ($way, $lock) {
            redis('DEL', $lock);
            $way();
        });
        pcntl_alarm(1);
        session_id('visitor');
        $start = microtime(true);
        try {
            session_start();
        } catch (Throwable $e) {
        }
        if (microtime(true) - $start < 0.5) {
            echo "$name: it did not wait\n";
        }
        session_abort();
        session_id('');
        $left = array_filter(keys(), static fn ($key) => preg_match($proxied ? '~_WAITERS|_BATON~' : '~_LOCK|_WAITERS|_BATON~', $key));
        if ($left) {
            echo "$name", $proxied ? ', proxied' : '', ': ', implode(' ', $left), "\n";
        }
    }
    if (!$proxied) {
        ob_start();
        (new ReflectionExtension('redis_session'))->info();
        preg_match('~Open handlers of this process => \d+~', ob_get_clean(), $match);
        echo $match[0], "\n";
    }
}
?>
--EXPECT--
Open handlers of this process => 0
