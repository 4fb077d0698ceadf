--TEST--
A redis:// URL with password and database works as it is
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tcp', 'starts a server of its own, so the topology makes no difference');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

$server = new OwnServer('--password', 'p/w#1');
ini_set('session.save_path', "redis://:p%2Fw%231@127.0.0.1:$server->port/3");
session_id('visitor');
var_dump(session_start());
session_write_close();
var_dump((new Server("tcp://127.0.0.1:$server->port?auth=p%2Fw%231&database=3"))->ask('KEYS', '*'));
?>
--EXPECT--
bool(true)
array(1) {
  [0]=>
  string(24) "PHPREDIS_SESSION:visitor"
}
