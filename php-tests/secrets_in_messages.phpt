--TEST--
PHP's own messages show the save path without its password, to a handler, on a page and in a log
--FILE--
<?php
require __DIR__ . '/common.inc';

$path = unreachable('timeout=5&auth=secret%2D42%3C&prefix=p');
$log = tempnam(getenv('REDIS_SESSION_TEST_DIR'), 'log');
foreach (['0', '1'] as $html) {
    echo "html_errors=$html\n";
    // Only the command line's php.ini leaves html_errors alone.
    $printed = php('
        ini_set("html_errors", getenv("HTML"));
        ob_start();
        session_start();
        $shown = ob_get_clean();
        $last = error_get_last()["message"];
        set_error_handler(function ($level, $text) use (&$handled) { $handled = $text; });
        session_start();
        foreach ([$shown, $last, $handled] as $text) {
            var_dump(preg_match("/path: .*auth=\*\*\*/", $text), str_contains($text, "42%3C"));
        }
    ', ini: ['log_errors' => '1', 'error_log' => $log], env: ['SESSION_SAVE_PATH' => $path, 'HTML' => $html]);
    echo $printed;
}
$log = file_get_contents($log);
var_dump(substr_count($log, '(path: '), substr_count($log, 'auth=***'), str_contains($log, '42%3C'));
?>
--EXPECT--
html_errors=0
int(1)
bool(false)
int(1)
bool(false)
int(1)
bool(false)
html_errors=1
int(1)
bool(false)
int(1)
bool(false)
int(1)
bool(false)
int(2)
int(2)
bool(false)
