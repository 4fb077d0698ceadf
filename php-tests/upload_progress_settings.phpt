--TEST--
With upload progress on, settings in an ini file work, and the extension's own can be changed at run time
--FILE--
<?php
require __DIR__ . '/common.inc';

// PHP from 8.2.36 on lets no session setting be changed here; these are not PHP's.
echo php('
    var_dump(ini_set("redis.session.early_refresh", "1"), ini_get("redis.session.early_refresh"));
    var_dump(ini_set("redis_session.read_only_wait", "0"), ini_get("redis_session.read_only_wait"));
    session_id("visitor");
    var_dump(session_start());
    $_SESSION["a"] = 1;
', ['session.upload_progress.enabled' => '1']);
var_dump(stored('visitor'));
?>
--EXPECT--
string(1) "0"
string(1) "1"
string(1) "1"
string(1) "0"
bool(true)
string(6) "a|i:1;"
