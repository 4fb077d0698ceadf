--TEST--
An unchanged session that was removed while a request used it stays away, in silence
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
foreach (['DEL', 'FLUSHALL'] as $how) { // the second forgets the lock too
    store('visitor', 'a|i:1;');
    session_id('visitor');
    session_start();
    redis(...$how === 'DEL' ? ['DEL', KEY . 'visitor'] : ['FLUSHALL']);
    var_dump(session_write_close(), keys());
}
?>
--EXPECT--
bool(true)
array(0) {
}
bool(true)
array(0) {
}
