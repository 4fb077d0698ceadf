--TEST--
A proxy that encrypts reads back what it wrote, and Redis never sees the plain data
--FILE--
<?php
require __DIR__ . '/common.inc';

class Encrypted extends SessionHandler
{
    private function crypt(string $data, string $id): string
    {
        $stream = '';
        for ($i = 0; strlen($stream) < strlen($data); $i++) {
            $stream .= hash('sha256', "key-$id-$i", true);
        }
        return $data ^ $stream;
    }
    public function read($id): string|false { return $this->crypt(parent::read($id), $id); }
    public function write($id, $data): bool { return parent::write($id, $this->crypt($data, $id)); }
}
session_set_save_handler(new Encrypted());
session_id('visitor');
session_start();
$_SESSION['secret'] = str_repeat('attack at dawn ', 20);
session_write_close();
var_dump(str_contains(stored('visitor'), 'dawn'));
$_SESSION = [];
session_start();
var_dump($_SESSION['secret'] === str_repeat('attack at dawn ', 20));
?>
--EXPECT--
bool(false)
bool(true)
