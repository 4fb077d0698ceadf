--TEST--
phpinfo() prints what it was asked for, whatever a callback for its output does meanwhile
--FILE--
<?php
require __DIR__ . '/common.inc';

// Each piece of the output brings a message of the extension's about.
set_error_handler(static fn () => true);
$pieces = [];
ob_start(static function (string $piece) use (&$pieces) {
    $pieces[] = $piece;
    session_id(str_repeat('x', 300)); // too long for a key
    session_start();
    return '';
}, 1);
(new ReflectionExtension('redis_session'))->info();
ob_end_clean();
restore_error_handler();
$shown = implode('', $pieces);
foreach (['redis', 'rediscluster', 'redis_session'] as $name) {
    var_dump(str_contains($shown, "Save handler $name => served by this extension\n"));
}
var_dump(preg_match('~^Redis client library => redis \(Rust crate\) [\d.]+$~m', $shown));
var_dump(preg_match('~[^\x20-\x7e\n]~', $shown));
?>
--EXPECT--
bool(true)
bool(true)
bool(true)
int(1)
int(0)
