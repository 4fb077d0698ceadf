--TEST--
A child that ends while its parent has a session locked is silent, and leaves session and lock alone
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
needs_extension('pcntl');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

store('visitor', 'n|i:1;');
echo php(<<<'CODE'
    function child(callable $does): void
    {
        if (!$pid = pcntl_fork()) {
            $does();
            exit;
        }
        pcntl_waitpid($pid, $status);
        fwrite(STDERR, "ended with $status, ");
    }
    class Proxy extends SessionHandler {}

    foreach ([false, true] as $proxied) {
        if ($proxied) {
            session_set_save_handler(new Proxy);
        }
        session_id('visitor');
        session_start();
        child(static fn () => null);
        $_SESSION['n']++;
        child(static fn () => null);
        child(static fn () => $_SESSION['n'] = 'the child changes it');
        child(static fn () => session_abort());
        session_write_close();
        session_start();
        fwrite(STDERR, "$_SESSION[n]\n");
        session_write_close();
    }
    // What a child asks for is told to be in vain.
    session_start();
    child(static function () { $_SESSION['n'] = 'asked'; session_write_close(); });
    CODE, ini: ['redis.session.locking_enabled' => 1, 'redis.session.lock_retries' => 50]);
var_dump(stored('visitor'), keys());
?>
--EXPECTF--
ended with 0, ended with 0, ended with 0, ended with 0, 2
ended with 0, ended with 0, ended with 0, ended with 0, 3

Warning: SessionHandler::write(): Unable to write session: session lock not held in %s on line %d

Warning: session_write_close(): Failed to write session data using user defined save handler%s
ended with 0, string(6) "n|i:3;"
array(1) {
  [0]=>
  string(24) "PHPREDIS_SESSION:visitor"
}
