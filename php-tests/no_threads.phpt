--TEST--
Where the system starts no more threads, sessions work and signals are served
--EXTENSIONS--
posix
pcntl
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
not_with_encryption('its other user may not read the file of keys');
only_on('tcp', 'one server by its address is what no thread is needed for');
if (posix_geteuid() !== 0 || !trim(shell_exec('command -v prlimit') ?? '')) {
    die('skip root alone can become a user with no processes left, with prlimit');
}
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

exec('prlimit --nproc=0 --pid ' . getmypid());
posix_setuid(65534);
pcntl_async_signals(true);
pcntl_signal(SIGUSR1, static fn () => print("served\n"));
show_messages();
for ($n = 1; $n <= 3; $n++) {
    session_id('visitor');
    var_dump(session_start());
    $_SESSION['n'] = $n;
    session_write_close();
    posix_kill(getmypid(), SIGUSR1);
}
var_dump(stored('visitor'), array_sum(connections()));
// A name is looked up all the same.
ini_set('session.save_path', str_replace('127.0.0.1', 'localhost', session_save_path()));
var_dump(str_contains(session_save_path(), 'localhost'), session_start(), $_SESSION['n']);
?>
--EXPECT--
bool(true)
served
bool(true)
served
bool(true)
served
string(6) "n|i:3;"
int(1)
bool(true)
bool(true)
int(3)
