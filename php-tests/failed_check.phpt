--TEST--
A check of one id that cannot be made says nothing about another session
--FILE--
<?php
require __DIR__ . '/common.inc';

class Shared extends SessionHandler
{
    public function read($id): string|false
    {
        return parent::read('shared');
    }

    public function write($id, $data): bool
    {
        return parent::write('shared', $data);
    }
}

// Of all sessions, this user may use one: so that no new id can be checked.
redis('ACL', 'SETUSER', 'shared', 'reset', 'on', '>pw', '~*SESSION:shared*', '&*', '+@all');
show_messages();
ini_set('session.save_path', save_path('auth[]=shared&auth[]=pw'));
session_set_save_handler(new Shared());
for ($visit = 0; $visit < 2; $visit++) {
    session_id('');
    var_dump(session_start());
    $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);
    session_write_close();
    var_dump(stored('shared'), keys() === [KEY . 'shared']);
}
redis('ACL', 'DELUSER', 'shared');
?>
--EXPECT--
bool(true)
string(6) "n|i:1;"
bool(true)
bool(true)
string(6) "n|i:2;"
bool(true)
