--TEST--
A lock that cannot be let go is a warning
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tcp', 'starts a server of its own, so the topology makes no difference');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

const LOCK = KEY . 'visitor_LOCK';
ini_set('redis.session.locking_enabled', '1');
$server = new OwnServer();
$probe = new Server("tcp://127.0.0.1:$server->port");
ini_set('session.save_path', "tcp://127.0.0.1:$server->port?read_timeout=0.3");
show_messages();
session_id('visitor');
session_start();
$probe->ask('CLIENT', 'PAUSE', 2000, 'ALL');
session_abort();
?>
--EXPECTF--
warning: session_abort(): Failed to release session lock: Error communicating with Redis server 127.0.0.1:%d: no answer within 0.3 s
