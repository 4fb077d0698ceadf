/*
 * One visit of the soak test. Prints what came of it: "ok" and the visitor's
 * count, or what is wrong with the session, or "failed" and the warnings.
 */
$warnings = [];
set_error_handler(static function (int $level, string $text) use (&$warnings) {
    $warnings[] = strtr($text, "\n", ' ');
    return true;
});
[$op, $who] = [$_GET['op'], $_GET['who']];
$id = $_COOKIE['PHPSESSID'];
$result = 'failed';

/** What is in the session: nothing, or what visits have left in the session with this id. */
function look(string $id): string
{
    $found = $_SESSION['id'] ?? 'nobody';
    if ($_SESSION && $found !== $id) {
        return "foreign $found in place of";
    }
    if (isset($_SESSION['filling']) && md5($_SESSION['filling']) !== $_SESSION['digest']) {
        return 'damaged';
    }
    return 'ok';
}

ini_set('redis.session.locking_enabled', $op === 'peek' ? '0' : '1');
if (session_start($op === 'peek' || $op === 'read' ? ['read_and_close' => true] : [])) {
    $result = look($id);
    $count = $_SESSION[$who] ?? 0;
    switch ($op) {
        case 'big':
            $_SESSION['filling'] = str_repeat(chr(random_int(65, 90)), (int) $_GET['size']);
            $_SESSION['digest'] = md5($_SESSION['filling']);
            // and count
        case 'count':
            $_SESSION['id'] = $id;
            $count = $_SESSION[$who] = $count + 1;
            session_write_close();
            break;
        case 'renew':
            try {
                session_regenerate_id(true);
                $_SESSION['id'] = session_id();
                $count = $_SESSION[$who] = $count + 1;
                session_write_close();
            } catch (Error $e) { // PHP's, where the new session cannot be read
                $warnings[] = $e->getMessage();
            }
            break;
        case 'destroy':
            session_destroy();
            break;
    }
    $result .= " $count " . session_id();
}
if ($warnings && str_starts_with($result, 'ok')) {
    $result = 'failed';
}
echo $result, $warnings ? ' ' . implode(' | ', $warnings) : '';
