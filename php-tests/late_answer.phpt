--TEST--
An answer that comes too late is never taken for another session
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tcp', 'starts a server of its own, so the topology makes no difference');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

$server = new OwnServer();
$probe = new Server("tcp://127.0.0.1:$server->port");
$probe->ask('SET', KEY . 'alice', 'name|s:5:"alice";');
$probe->ask('SET', KEY . 'bob', 'name|s:3:"bob";');
ini_set('session.save_path', "tcp://127.0.0.1:$server->port?read_timeout=0.5");
session_id('bob');
session_start();
session_abort();
// Alice gives up after 0.5 s. Bob asks while the server is still silent, and
// is answered at 0.8 s: first of all with what alice had asked for.
$probe->ask('CLIENT', 'PAUSE', 800, 'ALL');
session_id('alice');
var_dump(@session_start());
session_id('bob');
session_start();
var_dump($_SESSION['name']);
?>
--EXPECT--
bool(false)
string(3) "bob"
