--TEST--
What phpinfo() shows of the modules holds no password, also after a failed login
--FILE--
<?php
require __DIR__ . '/common.inc';

$printed = php('
    ini_set("session.save_path", getenv("WRONG"));
    @session_start();
    ob_start();
    phpinfo(INFO_MODULES);
    echo ob_get_clean();
', env: ['WRONG' => save_path('auth[]=nobody&auth[]=secret-42')]);
var_dump(str_contains($printed, 'the server refused the login'), str_contains($printed, 'secret-42'));
var_dump(preg_match('/^session\.save_path => .*\*\*\*/m', $printed));
?>
--EXPECT--
bool(true)
bool(false)
int(1)
