--TEST--
A SessionHandler subclass sees every call and stores through us
--FILE--
<?php
require __DIR__ . '/common.inc';

class Proxy extends SessionHandler
{
    public function open($path, $name): bool { echo "open\n"; return parent::open($path, $name); }
    public function close(): bool { echo "close\n"; return parent::close(); }
    public function read($id): string|false { echo "read\n"; return parent::read($id); }
    public function write($id, $data): bool { echo "write $data\n"; return parent::write($id, $data); }
    public function destroy($id): bool { echo "destroy\n"; return parent::destroy($id); }
    public function create_sid(): string { echo "create_sid\n"; return parent::create_sid(); }
}
session_set_save_handler(new Proxy());
session_start();
$_SESSION['a'] = 1;
session_write_close();
var_dump(stored(session_id()));
session_start();
session_destroy();
var_dump(keys());
?>
--EXPECT--
open
create_sid
read
write a|i:1;
close
string(6) "a|i:1;"
open
read
destroy
close
array(0) {
}
