--TEST--
Through a proxy, too, a session that was removed stays away; only what changed is lost
--FILE--
<?php
require __DIR__ . '/common.inc';

class Proxy extends SessionHandler
{
    public function write($id, $data): bool
    {
        $done = parent::write($id, $data);
        echo 'write: ', var_export($done, true), "\n";
        return true;
    }
}
show_messages();
session_set_save_handler(new Proxy());
foreach ([1, 2] as $value) {
    store('visitor', 'a|i:1;');
    session_id('visitor');
    session_start();
    $_SESSION['a'] = $value;
    redis('DEL', KEY . 'visitor');
    session_write_close();
    var_dump(keys());
}
?>
--EXPECT--
write: true
array(0) {
}
warning: SessionHandler::write(): Unable to write session: it was destroyed or removed while this request ran; its changes are lost
write: false
array(0) {
}
