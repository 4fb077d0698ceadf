--TEST--
auth[]=user&auth[]=password logs in as that user
--FILE--
<?php
require __DIR__ . '/common.inc';

redis('ACL', 'SETUSER', 'sue', 'reset', 'on', '>pw,1', '~*' . KEY . 's*', '+@all');
show_messages();
ini_set('session.save_path', save_path('auth[]=sue&auth[]=pw%2C1'));
foreach (['sue-1', 'joe-1'] as $id) {
    session_id($id);
    var_dump(session_start());
    session_write_close();
}
echo implode(' ', keys()), "\n";
redis('ACL', 'DELUSER', 'sue');
?>
--EXPECTF--
bool(true)
warning: session_start(): Error communicating with Redis server %s: NOPERM %s
warning: session_start(): Failed to read session data: redis (path: %s)
bool(false)
PHPREDIS_SESSION:sue-1
