<?php
// Runs one kind of request for each line of standard input, and says when it is done.
function start(string $id, array $options = []): void
{
    session_id($id);
    session_start($options) or exit(1);
}
$requests = [
    'new' => function () { start('new'); $_SESSION['n'] = 1; },
    'changed' => function () { start('known'); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; },
    'unchanged' => function () { start('known'); },
    'read_and_close' => function () { start('known', ['read_and_close' => true]); },
    'changed, 100 KB' => function () {
        start('large');
        $_SESSION['d'] ??= str_repeat('x', 100000);
        $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
    },
    'strict mode, changed' => function () {
        start('known', ['use_strict_mode' => '1']);
        $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
    },
    'strict mode, unknown id' => function () {
        start('unknown', ['use_strict_mode' => '1']);
        $_SESSION['n'] = 1;
    },
    'regenerated id' => function () { start('known'); session_regenerate_id(); },
    'destroyed' => function () { start('new'); session_destroy(); },
];
while ($name = fgets(STDIN)) {
    ini_set('session.use_strict_mode', '0');
    $requests[trim($name)]();
    session_write_close();
    fwrite(STDOUT, "done\n"); // not echo: headers would be sent
}
