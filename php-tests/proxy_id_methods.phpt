--TEST--
A proxy that checks ids and touches sessions itself works in strict mode
--FILE--
<?php
require __DIR__ . '/common.inc';

class Full extends SessionHandler implements SessionUpdateTimestampHandlerInterface
{
    public array $touched = [];
    public function validateId($id): bool { return parent::read($id) !== ''; }
    public function updateTimestamp($id, $data): bool { $this->touched[] = $id; return parent::write($id, $data); }
}
ini_set('session.use_strict_mode', 1);
session_set_save_handler($handler = new Full());
store('known', 'a|i:1;', 50);
foreach (['known', 'unknown'] as $id) {
    session_id($id);
    session_start();
    var_dump(session_id() === $id);
    session_write_close();
}
var_dump(in_array('known', $handler->touched, true), lives('known', 1440), stored('unknown'));
?>
--EXPECT--
bool(true)
bool(false)
bool(true)
bool(true)
NULL
