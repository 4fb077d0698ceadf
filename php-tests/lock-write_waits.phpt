--TEST--
The write of a session that was never read waits for its lock, and no longer than any wait
--FILE--
<?php
require __DIR__ . '/common.inc';

class Copying extends SessionHandler
{
    public function write($id, $data): bool
    {
        $begin = microtime(true);
        $done = parent::write('copy', $data);
        $took = microtime(true) - $begin;
        echo var_export($done, true), $took > 0.4 && $took < 5 ? ' after a wait' : " after $took s", "\n";
        return parent::write($id, $data);
    }
}

show_messages();
ini_set('redis.session.locking_enabled', '1');
session_set_save_handler(new Copying());
foreach ([60000 => 25, 900 => 500] as $lasts => $retries) {
    ini_set('redis.session.lock_retries', $retries); // of 20 ms each
    session_id('visitor');
    session_start();
    $_SESSION['lasts'] = $lasts;
    store('copy_LOCK', 'another', 60);
    redis('PEXPIRE', KEY . 'copy_LOCK', $lasts);
    session_write_close();
    var_dump(stored('visitor'), stored('copy'));
    redis('DEL', KEY . 'copy_LOCK');
    var_dump(preg_grep('/_LOCK|_WAITERS|_BATON/', keys()));
}
?>
--EXPECTF--
warning: SessionHandler::write(): Failed to acquire session lock: it is held by another client, such as phpredis; gave up after 0.5 s
false after a wait
string(14) "lasts|i:60000;"
NULL
array(0) {
}
true after a wait
string(12) "lasts|i:900;"
string(12) "lasts|i:900;"
array(0) {
}
