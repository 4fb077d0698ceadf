// A page that ends in the way $how, when it comes to $where. Before this come
// the lines that set these, whether $proxied, what is called $before, where
// $redis is, and which file to $mark when it ends.

function ask(string ...$command): void
{
    global $redis;
    $stream = stream_socket_client($redis);
    fwrite($stream, implode(' ', $command) . "\r\n");
    fgets($stream);
}

function at(string $here): void
{
    global $how, $where, $mark;
    if ($here !== $where || is_file($mark)) {
        return;
    }
    touch($mark);
    switch ($how) {
        case 'return': return;
        case 'throw': throw new Exception('the end');
        case 'exit': exit('the end');
        case 'fatal': eval('function twice() {} function twice() {}'); break;
        case 'memory': ini_set('memory_limit', '8M'); str_repeat('x', 1 << 28); break;
        case 'time': set_time_limit(1); while (true); break;
    }
}

class Proxy extends SessionHandler implements SessionUpdateTimestampHandlerInterface
{
    public function open($path, $name): bool { $done = parent::open($path, $name); at('open'); return $done; }
    public function create_sid(): string { $id = parent::create_sid(); at('create_sid'); return $id; }
    public function validateId($id): bool { $known = parent::read($id) !== ''; at('validate'); return $known; }
    public function read($id): string|false { $data = parent::read($id); at('read'); return $data; }
    public function write($id, $data): bool { at('write'); $done = parent::write($id, $data); at('written'); return $done; }
    public function updateTimestamp($id, $data): bool { at('write'); return parent::write($id, $data); }
    public function destroy($id): bool { at('destroy'); return parent::destroy($id); }
    public function close(): bool
    {
        global $before;
        at('close');
        return $before === 'keep open' ? true : parent::close();
    }
}

class Leaves
{
    public function __destruct() { at('destructor'); }
}

if ($proxied) {
    session_set_save_handler(new Proxy, $before !== 'unregistered');
} elseif ($before === 'refused') {
    session_set_save_handler(new SessionHandler, true);
    set_error_handler(function ($level, $text) { throw new ErrorException($text); });
}
if ($where !== 'create_sid') {
    session_id('visitor');
}
register_shutdown_function(function () { at('shutdown'); });
if ($where === 'output') {
    ob_start(function ($text) { at('output'); return $text; });
}
$left = new Leaves;
session_start();
$_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
switch ($before) {
    case 'abort': session_abort(); session_start(); break;
    case 'reset': session_reset(); break;
    case 'regenerate': session_regenerate_id(false); break;
    case 'regenerate and delete': session_regenerate_id(true); break;
    case 'write and start': session_write_close(); session_start(); $_SESSION['n']++; break;
    case 'keep open': session_write_close(); session_start(); $_SESSION['n']++; break;
    case 'refused': ask('CONFIG', 'SET', 'maxmemory', '1'); break;
}
at('page');
switch ($where) {
    case 'finished': fastcgi_finish_request(); at('finished'); break;
    case 'destroy': session_destroy(); break;
    case 'explicit write': session_write_close(); at('explicit write'); break;
}
