--TEST--
A save handler of the application that is set after ours has nothing of ours called
--FILE--
<?php
require __DIR__ . '/common.inc';

$handler = new class implements SessionHandlerInterface {
    public function create_sid(): string { return bin2hex(random_bytes(16)); } // asked for since PHP 8.6
    public function validateId(string $id): bool { return true; }
    public function open($path, $name): bool { return true; }
    public function close(): bool { return true; }
    public function read($id): string { return ''; }
    public function write($id, $data): bool { return true; }
    public function destroy($id): bool { return true; }
    public function gc($lifetime): int { return 0; }
};
session_set_save_handler($handler);
session_start();
$_SESSION['a'] = 1;
session_write_close();
var_dump(keys());
?>
--EXPECT--
array(0) {
}
