<?php
/*
 * One visit of a thread: counts in a session of its own and in one that all
 * threads share, and ends in one of the ways a request can end. Prints "ok",
 * or what is wrong. See threads.c.
 */

/** The visit that lasts, and for how long (ms): a lock is renewed after 3333 ms. */
const LONG_THREAD = 0, LONG_VISIT = 1, LONG = 3600;
/** How often the server is asked beside the extension: at the end, and in the long visit. */
const ASKED = 2;
const ENDS = ['close', 'leave open', 'exit', 'fatal', 'abort', 'exception'];

set_error_handler(static function (int $level, string $text) {
    echo "[$text] ";
    return true;
});

/** What a session of thread $owner is filled with: nobody else's letters, some sizes. */
function filling(int $owner, int $visit): string
{
    return str_repeat(chr(ord('A') + $owner), $visit * 7919 % 30000);
}

function ending(int $visit): string
{
    return ENDS[$visit % count(ENDS)];
}

/** Visits before $visit whose counting in the shared session was kept. */
function counted(int $visit): int
{
    return $visit - count(array_filter($visit ? range(0, $visit - 1) : [], fn ($before) => ending($before) === 'abort'));
}

function expect(string $what, mixed $expected, mixed $found): void
{
    if ($expected !== $found) {
        $show = fn ($value) => substr(var_export($value, true), 0, 60);
        echo "$what: expected {$show($expected)}, found {$show($found)}. ";
    }
}

function look_into(int $thread, int $visit): void
{
    session_id("own-$thread");
    session_start();
    $before = $visit > 0
        ? ['owner' => $thread, 'visits' => $visit, 'filling' => filling($thread, $visit - 1)]
        : [];
    expect("session of thread $thread", $before, $_SESSION);
}

/** What the server says, on a connection beside the extension's. */
function ask(string ...$command): string
{
    $server = stream_socket_client(ini_get('session.save_path'));
    fwrite($server, implode(' ', $command) . "\r\n");
    $answer = fgets($server);
    return $answer[0] === '$' ? stream_get_contents($server, (int) substr($answer, 1)) : substr($answer, 1);
}

if (isset($_GET['check'])) {
    $threads = (int) $_GET['check'];
    $visits = (int) $_GET['visits'];
    for ($thread = 0; $thread < $threads; $thread++) {
        look_into($thread, $visits);
        session_abort();
    }
    session_id('shared');
    session_start();
    $by = $_SESSION['by'];
    ksort($by);
    expect('visits counted together', counted($visits) * $threads, $_SESSION['visits']);
    expect('visits counted by each', array_fill(0, $threads, counted($visits)), $by);
    session_abort();
    preg_match('~total_connections_received:(\d+)~', ask('INFO', 'stats'), $match);
    $connections = $match[1] - ASKED;
    // A thread needs one at a time, and so does the helper that renews locks.
    if ($connections > $threads + 1) {
        echo "$connections connections for $threads threads. ";
    }
    fprintf(fopen('php://stderr', 'w'), "%d visits, %d connections\n", $threads * $visits, $connections);
    die('ok');
}

$thread = (int) $_GET['thread'];
$visit = (int) $_GET['visit'];

// Settings are each thread's own: half of the visits go without a lock.
ini_set('redis.session.locking_enabled', (string) ($visit % 2));
look_into($thread, $visit);
if ([$thread, $visit] === [LONG_THREAD, LONG_VISIT]) {
    usleep(LONG * 1000);
    $left = (int) ask('PTTL', 'PHPREDIS_SESSION:' . session_id() . '_LOCK');
    if ($left <= 10000 - LONG) {
        echo "a lock of 10 s was not renewed: $left ms are left after " . LONG . " ms. ";
    }
}
$_SESSION = ['owner' => $thread, 'visits' => $visit + 1, 'filling' => filling($thread, $visit)];
session_write_close();

ini_set('redis.session.locking_enabled', '1');
session_id('shared');
session_start();
expect('own part of the shared session', counted($visit), $_SESSION['by'][$thread] ?? 0);
$_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
$_SESSION['by'][$thread] = ($_SESSION['by'][$thread] ?? 0) + 1;
usleep(random_int(0, 1000)); // the others come and have to wait

echo 'ok';
restore_error_handler();
switch (ending($visit)) {
    case 'close':
        session_write_close();
        break;
    case 'leave open':
        break;
    case 'exit':
        exit;
    case 'fatal':
        trigger_error('the request ends here', E_USER_ERROR);
    case 'abort':
        session_abort();
        break;
    case 'exception':
        throw new Exception('nobody catches it');
}
