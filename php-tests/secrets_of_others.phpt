--TEST--
Messages that are not about our save path are left as they are
--FILE--
<?php
require __DIR__ . '/common.inc';

set_error_handler(function ($level, $text) {
    echo with_one_name($text), "\n";
});
$path = unreachable('auth=secret-42');
ini_set('session.save_path', $path);
trigger_error('a text of the script: tcp://h?auth=mine');
// The script's own string is not written to, also where nobody else has it.
$constant = 'auth=secret-42';
trigger_error($constant);
echo $constant, "\n";
try {
    throw new Exception("of the script", 7, new LogicException('auth=mine'));
} catch (Exception $e) {
    echo $e->getMessage(), ' ', $e->getCode(), ' ', $e->getPrevious()->getMessage(), "\n";
}
var_dump(ini_get('session.save_path') === $path, session_save_path() === $path);
ini_set('session.save_handler', 'files');
ini_set('session.save_path', '/nowhere?auth=shown');
session_start();
?>
--EXPECTF--
a text of the script: tcp://h?auth=mine
auth=secret-42
auth=secret-42
of the script 7 auth=mine
bool(true)
bool(true)
session_start(): open(/nowhere?auth=shown/sess_%s, O_RDWR) failed: No such file or directory (2)
session_start(): Failed to read session data: files (path: /nowhere?auth=shown)
