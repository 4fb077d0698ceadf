--TEST--
A handler that reads one id and writes another has both locks, and leaves none
--FILE--
<?php
require __DIR__ . '/common.inc';

/** All visitors see what is shared; what they change is their own. */
class Shared extends SessionHandler
{
    public function read($id): string|false
    {
        return parent::read('shared');
    }
}

show_messages();
ini_set('redis.session.locking_enabled', '1');
session_set_save_handler(new Shared());
store('shared', 'a|i:1;');
foreach ([1, 2] as $visit) {
    session_id('visitor');
    session_start();
    var_dump(array_diff(keys(), [KEY . 'visitor', KEY . 'shared']));
    $_SESSION['visit'] = $visit;
    session_write_close();
    var_dump(keys(), stored('visitor'), stored('shared'));
}
?>
--EXPECT--
array(1) {
  [1]=>
  string(28) "PHPREDIS_SESSION:shared_LOCK"
}
array(2) {
  [0]=>
  string(23) "PHPREDIS_SESSION:shared"
  [1]=>
  string(24) "PHPREDIS_SESSION:visitor"
}
string(16) "a|i:1;visit|i:1;"
string(6) "a|i:1;"
array(1) {
  [1]=>
  string(28) "PHPREDIS_SESSION:shared_LOCK"
}
array(2) {
  [0]=>
  string(23) "PHPREDIS_SESSION:shared"
  [1]=>
  string(24) "PHPREDIS_SESSION:visitor"
}
string(16) "a|i:1;visit|i:2;"
string(6) "a|i:1;"
