--TEST--
An exception of PHP's session module shows the save path without its password
--FILE--
<?php
require __DIR__ . '/common.inc';

// With a handler in PHP between, a step can fail where PHP throws.
$code = '
    class Failing extends SessionHandler
    {
        public static string $fail = "";

        public function open($path, $name): bool
        {
            return self::$fail !== "open" && parent::open(getenv("WORKING"), $name);
        }

        public function read($id): string|false
        {
            return self::$fail === "read" ? false : parent::read($id);
        }
    }
    ob_start();
    session_set_save_handler(new Failing);
';
$env = ['SESSION_SAVE_PATH' => 'tcp://h?timeout=5&auth=secret-42', 'WORKING' => save_path()];
echo php("$code
    foreach (['open', 'read'] as Failing::\$fail) {
        \$step = Failing::\$fail;
        Failing::\$fail = '';
        session_start();
        Failing::\$fail = \$step;
        try {
            session_regenerate_id();
        } catch (Error \$e) {
            echo \$e->getMessage(), PHP_EOL;
            var_dump(str_contains(\$e, 'secret-42'));
        }
    }
", env: $env);
$printed = php("$code session_start(); Failing::\$fail = 'open'; session_regenerate_id();", env: $env);
var_dump(preg_match('/Uncaught Error: .*auth=\*\*\*/', $printed), str_contains($printed, 'secret-42'));
?>
--EXPECT--
Failed to open session: user (path: tcp://h?timeout=5&auth=***)
bool(false)
Failed to create(read) session ID: user (path: tcp://h?timeout=5&auth=***)
bool(false)
int(1)
bool(false)
