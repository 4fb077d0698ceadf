<?php
// The page of scripts/demo: a visit counter, a login and one session variable,
// served by three PHP nodes that share nothing but Redis.
declare(strict_types=1);

const RECENT = 12; // visits that the page shows
const LONGEST_HOLD = 3000; // ms; php.ini has this visitor's other requests wait longer, see lock_retries
const NODES = ['node-1', 'node-2', 'node-3']; // nginx passes /alive/NAME to each of them

/** One of the page's forms, which is no visit: the redirect after it makes the next. */
function change(array $form, string $node): void
{
    $text = static fn (string $name): string => is_string($form[$name] ?? null) ? substr($form[$name], 0, 200) : '';
    switch ($text('action')) {
        case 'log in':
            // An id that somebody knew before the login must be worth nothing after it.
            session_regenerate_id(true);
            $_SESSION['user'] = $text('name') !== '' ? $text('name') : 'nobody';
            break;
        case 'log out':
            $cookie = session_get_cookie_params();
            unset($cookie['lifetime']);
            setcookie(session_name(), '', ['expires' => 1] + $cookie);
            session_destroy();
            break;
        default:
            $_SESSION['value'] = $text('value');
            $_SESSION['value_from'] = $node;
    }
}

/** Seconds until Redis drops the session, or null if it is not one server, or does not say. */
function seconds_left(string $id): ?int
{
    $server = parse_url((string) ini_get('session.save_path'));
    if (!in_array($server['scheme'] ?? '', ['tcp', 'redis'], true) || !isset($server['host'])) {
        return null;
    }
    $port = $server['port'] ?? 6379;
    $redis = @stream_socket_client("tcp://{$server['host']}:$port", $code, $reason, 1.0);
    if ($redis === false) {
        return null;
    }
    stream_set_timeout($redis, 1);
    $key = "PHPREDIS_SESSION:$id";
    fwrite($redis, sprintf("*2\r\n$3\r\nTTL\r\n$%d\r\n%s\r\n", strlen($key), $key));
    $answer = (string) fgets($redis);
    fclose($redis);
    return preg_match('/^:(\d+)\r\n$/', $answer, $match) ? (int) $match[1] : null;
}

function duration(int $seconds): string
{
    [$minutes, $rest] = [intdiv($seconds, 60), $seconds % 60];
    return trim(($minutes ? "$minutes min " : '') . ($rest || !$minutes ? "$rest s" : ''));
}

function html(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

$node = getenv('NODE_NAME') ?: gethostname();
$number = preg_match('/([1-9])$/', $node, $match) ? (int) $match[1] : 0; // its colour

$plain = isset($_GET['plain']) || str_contains($_SERVER['HTTP_ACCEPT'] ?? '', 'application/json');

if (isset($_GET['alive'])) {
    header('Cache-Control: no-store');
    exit($node);
}

if (!session_start()) {
    http_response_code(503);
    header('Retry-After: 1');
    if ($plain) {
        header('Content-Type: text/plain');
        exit("$node: the session could not be started; the log of php-fpm says why.\n");
    }
    require __DIR__ . '/no-session.php';
    exit;
}

if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    change($_POST, $node);
    session_write_close();
    header('Location: ./', true, 303);
    exit;
}

$left_before = seconds_left(session_id());
$visits = $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
$recent = $_SESSION['recent'] = array_slice([...($_SESSION['recent'] ?? []), [$visits, $node, $number]], -RECENT);
$value = $_SESSION['value'] ?? '';
$value_from = $_SESSION['value_from'] ?? '';
$user = $_SESSION['user'] ?? '';
if (isset($_GET['hold'])) {
    // As a slow page would: what else this visitor asks for must wait, or a visit is lost.
    usleep(1000 * max(0, min(LONGEST_HOLD, (int) $_GET['hold'])));
}
session_write_close(); // frees the session for other requests of this visitor
$left = seconds_left(session_id());

header('Cache-Control: no-store');
if ($plain) {
    header('Content-Type: application/json');
    $flags = JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES;
    exit(json_encode(['node' => $node, 'visits' => $visits, 'value' => $value], $flags) . "\n");
}
?>
<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Visit <?= $visits ?> · shared PHP sessions</title>
  <link rel="stylesheet" href="style.css">
</head>
<body>
<main>
  <header>
    <h1>Three PHP nodes, one session</h1>
    <p>A load balancer gives each request to another node. The nodes share nothing but Redis.</p>
  </header>

  <section class="now" aria-label="This visit">
    <p class="visit"><span>Visit</span> <strong><?= $visits ?></strong></p>
    <p class="by"><span>answered by</span> <strong class="node n<?= $number ?>"><?= html($node) ?></strong></p>
    <p class="again"><a class="button" href="./">Reload</a></p>
    <ul class="nodes" aria-label="The nodes">
<?php foreach (NODES as $i => $name): ?>
      <li class="node n<?= $i + 1 ?>" data-node="<?= $name ?>"><?= $name ?> <span><?= $name === $node ? 'runs' : '' ?></span></li>
<?php endforeach ?>
    </ul>
  </section>

  <section aria-labelledby="try">
    <h2 id="try">Try</h2>
    <ul>
      <li>Reload: the next node answers, and the count goes on.</li>
      <li>Open <a href="./?hold=<?= LONGEST_HOLD ?>" target="_blank">a slow page</a> and reload this one at once: it waits its turn, and no visit is lost.</li>
      <li>Stop a node with the command that <code>scripts/demo</code> printed, and reload: no one is logged out.</li>
      <li>Save a text, log in, and reload: every node knows it.</li>
    </ul>
  </section>

  <section aria-labelledby="recent">
    <h2 id="recent">Your last visits</h2>
    <ol class="recent">
<?php foreach ($recent as [$visit, $by, $colour]): ?>
      <li class="node n<?= (int) $colour ?>" title="visit <?= (int) $visit ?>: <?= html($by) ?>"><b><?= (int) $visit ?></b> <span><?= html($by) ?></span></li>
<?php endforeach ?>
    </ol>
  </section>

  <section aria-labelledby="value">
    <h2 id="value">A value in the session</h2>
    <form method="post" action="./">
      <label for="field">Text</label>
      <input id="field" name="value" value="<?= html($value) ?>" maxlength="60" placeholder="anything" autocomplete="off">
      <button name="action" value="save">Save</button>
    </form>
<?php if ($value_from !== ''): ?>
    <p class="note">Saved by <?= html($value_from) ?>, read by <?= html($node) ?>.</p>
<?php endif ?>
  </section>

  <section aria-labelledby="login">
    <h2 id="login">A login</h2>
    <form method="post" action="./">
<?php if ($user === ''): ?>
      <label for="name">Name</label>
      <input id="name" name="name" maxlength="60" placeholder="any name, no password" autocomplete="off" required>
      <button name="action" value="log in">Log in</button>
<?php else: ?>
      <p class="user">Logged in as <strong><?= html($user) ?></strong></p>
      <button name="action" value="log out">Log out</button>
<?php endif ?>
    </form>
    <p class="note"><?= $user === '' ? 'Logging in gives the session a new id, and the old one ends.' : 'Logging out deletes the session from Redis.' ?></p>
  </section>

  <section aria-labelledby="session">
    <h2 id="session">Where it is kept</h2>
    <dl>
      <dt>Session</dt>
      <dd><code><?= html(substr(session_id(), 0, 8)) ?>…</code></dd>
      <dt>Save handler</dt>
      <dd><code><?= html((string) ini_get('session.save_handler')) ?></code></dd>
      <dt>Save path</dt>
      <dd><code><?= html((string) ini_get('session.save_path')) ?></code></dd>
<?php if ($left !== null): ?>
      <dt>Expires in</dt>
      <dd><?= duration($left) ?><?php if ($left_before !== null && $left_before < $left): ?>, renewed by this visit (it had <?= duration($left_before) ?> left)<?php endif ?></dd>
<?php endif ?>
    </dl>
  </section>
</main>
<script>
// Whether each node runs: asked of the node itself, so that it shows without a reload.
const ask = async (item) => {
  try {
    const runs = (await fetch(`./alive/${item.dataset.node}`, {cache: 'no-store'})).ok;
    item.classList.toggle('stopped', !runs);
    item.querySelector('span').textContent = runs ? 'runs' : 'stopped';
  } catch { /* the whole demo has ended, or the page is being left: nothing is known */ }
};
const askAll = async () => {
  if (!document.hidden) await Promise.all([...document.querySelectorAll('[data-node]')].map(ask));
  setTimeout(askAll, 1000);
};
askAll();
</script>
</body>
</html>
