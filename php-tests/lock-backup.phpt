--TEST--
A copy is stored beside the session, and another one is read, without losing the session's own lock
--FILE--
<?php
require __DIR__ . '/common.inc';

class Careful extends SessionHandler
{
    public function read($id): string|false
    {
        $data = parent::read($id);
        echo 'the copy: ', parent::read("$id-copy"), "\n";
        return $data;
    }

    public function write($id, $data): bool
    {
        return parent::write("$id-copy", $data) && parent::write($id, $data) && parent::write('log', 'x|i:1;');
    }
}

show_messages();
ini_set('redis.session.locking_enabled', '1');
session_set_save_handler(new Careful());
for ($visit = 0; $visit < 3; $visit++) {
    session_id('visitor');
    session_start();
    echo implode(' ', preg_grep('/_LOCK$/', keys())), "\n";
    $_SESSION['n'] = $visit;
    session_write_close();
    echo stored('visitor'), ' ', stored('visitor-copy'), ' ', stored('log'), ' ', count(keys()), "\n";
}
?>
--EXPECT--
the copy: 
PHPREDIS_SESSION:visitor-copy_LOCK PHPREDIS_SESSION:visitor_LOCK
n|i:0; n|i:0; x|i:1; 3
the copy: n|i:0;
PHPREDIS_SESSION:visitor-copy_LOCK PHPREDIS_SESSION:visitor_LOCK
n|i:1; n|i:1; x|i:1; 3
the copy: n|i:1;
PHPREDIS_SESSION:visitor-copy_LOCK PHPREDIS_SESSION:visitor_LOCK
n|i:2; n|i:2; x|i:1; 3
