--TEST--
phpinfo() of this extension shows no password after a failed login
--FILE--
<?php
require __DIR__ . '/common.inc';

$printed = php('
    ini_set("session.save_path", getenv("WRONG"));
    @session_start();
    ob_start();
    phpinfo(INFO_MODULES);
    preg_match("/^redis_session\n.*?^Directive/ms", ob_get_clean(), $match);
    echo $match[0];
', env: ['WRONG' => save_path('auth[]=nobody&auth[]=secret-42')]);
var_dump(str_contains($printed, 'WRONGPASS'), str_contains($printed, 'secret-42'));
?>
--EXPECT--
bool(true)
bool(false)
