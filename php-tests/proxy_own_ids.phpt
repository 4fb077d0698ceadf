--TEST--
A proxy that makes its own ids has its sessions under them
--FILE--
<?php
require __DIR__ . '/common.inc';

class Own extends SessionHandler
{
    public function create_sid(): string { return 'own:' . parent::create_sid(); }
}
session_set_save_handler(new Own());
session_start();
$id = session_id();
session_regenerate_id(true);
session_write_close();
echo implode(' ', keys()), "\n";
var_dump($id !== session_id());
?>
--EXPECTF--
PHPREDIS_SESSION:own:%s
bool(true)
