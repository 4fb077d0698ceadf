--TEST--
Sessions are stored encrypted where that is set, with keys that change, and what is changed in Redis is no session
--FILE--
<?php
require __DIR__ . '/common.inc';

/** A file of keys: ids, the first of which encrypts. */
function key_file(string ...$ids): string
{
    static $keys = [];
    $file = getenv('REDIS_SESSION_TEST_DIR') . '/' . implode('-', $ids) . '.keys';
    $lines = '';
    foreach ($ids as $id) {
        $lines .= "$id:" . ($keys[$id] ??= base64_encode(random_bytes(32))) . "\n";
    }
    touch($file);
    chmod($file, 0600);
    file_put_contents($file, $lines);
    return $file;
}

/** What a PHP of its own says of a session, and stores in it. */
function visit(string $mode, string $file, string $code, string $id = 'abc'): void
{
    $said = php("session_id('$id'); session_start(); $code", [
        'redis_session.encryption' => $mode,
        'redis_session.encryption_keys' => $file,
    ]);
    // Whose server, which file and where in it say nothing here.
    $said = preg_replace('~^Warning: session_start\(\): Failed to (read session data|initialize).*\n~m', '', $said);
    $said = preg_replace(['~ in /\S+ on line 1$~m', '~(session on )\S+~', '~= /\S+/~', '~\n+~'], ['', '$1HOST', '= DIR/', "\n"], $said);
    echo trim($said), "\n";
}

$show = 'echo json_encode($_SESSION ?? null);';
$read = "session_write_close(); \$_SESSION = []; session_start(['read_and_close' => true]); $show";
[$old, $both] = [key_file('old'), key_file('new', 'old')];

echo "== nothing of it is to be seen\n";
visit('required', $old, "\$_SESSION['secret'] = 'attack at dawn'; $read");
$first = stored_bytes('abc');
var_dump(bin2hex(substr($first, 0, 10)));
$plain = 'secret|s:14:"attack at dawn";';
for ($i = 0; $i + 4 <= strlen($plain); $i++) {
    if (str_contains($first, substr($plain, $i, 4))) {
        echo "there is ", substr($plain, $i, 4), "\n";
    }
}
$info = php('phpinfo();', ['redis_session.encryption' => 'required', 'redis_session.encryption_keys' => $old]);
preg_match('~^Encryption.*~m', $info, $row);
$key = explode(':', trim(file_get_contents($old)))[1];
var_dump($row[0], str_contains($info, $key), str_contains($info, base64_decode($key)));

echo "== a key that is not known\n";
visit('required', key_file('other'), $show);
visit('off', '', $show);
var_dump(stored_bytes('abc') === $first);

echo "== unchanged, it is encrypted with the new key\n";
visit('required', $both, $show);
var_dump(bin2hex(substr(stored_bytes('abc'), 4, 6)));
$second = stored_bytes('abc');
visit('required', $both, $show);
var_dump(stored_bytes('abc') === $second);

echo "== another session's\n";
store('other', $second);
visit('required', $both, $show, 'other');
var_dump(stored_bytes('other') === $second);

echo "== changed anywhere\n";
foreach ([0, 3, 4, 5, 6, 8, 20, 45, strlen($second) - 1] as $at) {
    $changed = $second;
    $changed[$at] = $changed[$at] ^ "\x10";
    store('abc', $changed);
    visit('accept_plain', $both, '$_SESSION["x"] = 1;');
    if (stored_bytes('abc') !== $changed) {
        echo "$at: overwritten\n";
    }
}

echo "== plain\n";
store('abc', 'n|i:7;');
visit('required', $both, $show);
var_dump(stored_bytes('abc'));
visit('accept_plain', $both, $show);
var_dump(bin2hex(substr(stored_bytes('abc'), 0, 10)));

echo "== files that are not used\n";
visit('required', '', $show);
visit('required', '/nowhere/keys', $show);
$open = key_file('open');
chmod($open, 0644);
visit('required', $open, $show);
visit('reqired', $both, $show);
?>
--EXPECTF--
== nothing of it is to be seen
{"secret":"attack at dawn"}
string(20) "fff5c0c10101036f6c64"
string(62) "Encryption => AES-256-GCM, key old; plain sessions are refused"
bool(false)
bool(false)
== a key that is not known
Warning: session_start(): Failed to decrypt session data: the session on HOST is encrypted with the key old, which redis_session.encryption_keys does not have; the stored data are kept
[]
Warning: session_start(): Failed to decrypt session data: the session on HOST is encrypted, and redis_session.encryption is off: set it, and redis_session.encryption_keys, as on the hosts that write it; the stored data are kept
[]
bool(true)
== unchanged, it is encrypted with the new key
{"secret":"attack at dawn"}
string(12) "0101036e6577"
{"secret":"attack at dawn"}
bool(true)
== another session's
Warning: session_start(): Failed to decrypt session data: the session on HOST cannot be decrypted: its stored bytes were changed, belong to another session, or were encrypted with another key of the same id (new); the stored data are kept
[]
bool(true)
== changed anywhere
Warning: session_start(): Failed to decrypt session data: the session on HOST is damaged: its stored bytes were cut or changed; the stored data are kept
Warning: session_start(): Failed to decrypt session data: the session on HOST is damaged: its stored bytes were cut or changed; the stored data are kept
Warning: session_start(): Failed to decrypt session data: the session on HOST is encrypted in a form that this version does not know: install a newer one; the stored data are kept
Warning: session_start(): Failed to decrypt session data: the session on HOST is encrypted in a form that this version does not know: install a newer one; the stored data are kept
Warning: session_start(): Failed to decrypt session data: the session on HOST is encrypted with the key %s, which redis_session.encryption_keys does not have; the stored data are kept
Warning: session_start(): Failed to decrypt session data: the session on HOST is encrypted with the key nuw, which redis_session.encryption_keys does not have; the stored data are kept
Warning: session_start(): Failed to decrypt session data: the session on HOST cannot be decrypted: its stored bytes were changed, belong to another session, or were encrypted with another key of the same id (new); the stored data are kept
Warning: session_start(): Failed to decrypt session data: the session on HOST cannot be decrypted: its stored bytes were changed, belong to another session, or were encrypted with another key of the same id (new); the stored data are kept
Warning: session_start(): Failed to decrypt session data: the session on HOST cannot be decrypted: its stored bytes were changed, belong to another session, or were encrypted with another key of the same id (new); the stored data are kept
== plain
Warning: session_start(): Failed to decrypt session data: the session on HOST is not encrypted, and redis_session.encryption is required: set it to accept_plain until all sessions are encrypted; the stored data are kept
[]
string(6) "n|i:7;"
{"n":7}
string(20) "fff5c0c10101036e6577"
== files that are not used
Warning: session_start(): Failed to set up encryption of sessions: redis_session.encryption_keys = : it names no file: redis_session.encryption needs one
null
Warning: session_start(): Failed to set up encryption of sessions: redis_session.encryption_keys = DIR/keys: it cannot be read: No such file or directory (os error 2)
null
Warning: session_start(): Failed to set up encryption of sessions: redis_session.encryption_keys = DIR/open.keys: everybody may read or write it: make it chmod 640, and its group that of PHP's workers
null
Warning: session_start(): Failed to set up encryption of sessions: redis_session.encryption = reqired is unknown: set it to off, accept_plain or required
null
