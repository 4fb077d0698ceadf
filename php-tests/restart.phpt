--TEST--
A restart of the server between two requests of one process goes unnoticed
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tcp', 'starts a server of its own, so the topology makes no difference');
not_with_locking('the server forgets the lock too');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

$server = new OwnServer();
show_messages();
ini_set('session.save_path', "tcp://127.0.0.1:$server->port");
session_id('visitor');
foreach ([1, 2, 3] as $n) {
    session_start();
    $server->stop();
    $server->start();
    $_SESSION['n'] = $n;
    var_dump(session_write_close());
    $server->stop();
    $server->start();
    $_SESSION = [];
}
session_start();
session_write_close();
var_dump((new Server("tcp://127.0.0.1:$server->port"))->ask('EXISTS', KEY . 'visitor'));
?>
--EXPECT--
bool(true)
bool(true)
bool(true)
int(1)
