--TEST--
All four forms of auth= log in
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
only_on('tcp', 'starts a server of its own, so the topology makes no difference');
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

$server = new OwnServer('--password', 'p&s=s');
$probe = new Server("tcp://127.0.0.1:$server->port?auth=p%26s%3Ds");
$probe->ask('ACL', 'SETUSER', 'sue', 'reset', 'on', '>s,p', '~*', '&*', '+@all');
$forms = [
    'auth=p%26s%3Ds',
    'auth[]=p%26s%3Ds',
    'auth[]=sue&auth[]=s%2Cp',
    'auth[user]=sue&auth[pass]=s%2Cp',
];
foreach ($forms as $i => $form) {
    ini_set('session.save_path', "tcp://127.0.0.1:$server->port?$form");
    session_id("visitor$i");
    var_dump(session_start());
    session_write_close();
    var_dump($probe->ask('EXISTS', KEY . "visitor$i"));
}
?>
--EXPECT--
bool(true)
int(1)
bool(true)
int(1)
bool(true)
int(1)
bool(true)
int(1)
