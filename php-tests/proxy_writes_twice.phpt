--TEST--
A proxy that writes twice stores what it wrote last
--FILE--
<?php
require __DIR__ . '/common.inc';

class Proxy extends SessionHandler
{
    public function write($id, $data): bool
    {
        return parent::write($id, 'first') && parent::write($id, $data);
    }
}
session_set_save_handler(new Proxy());
session_id('visitor');
session_start();
$_SESSION['a'] = 1;
var_dump(session_write_close(), stored('visitor'));
?>
--EXPECT--
bool(true)
string(6) "a|i:1;"
