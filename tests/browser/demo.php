<?php
// The demo in a real browser: what a visitor does and sees. scripts/demo
// --browser DIR starts a demo and runs this against it:
//
//   php demo.php URL DIR COMMAND [ARG...]
//
// COMMAND must stop one of the three nodes, and return when it is gone.
// Screenshots and the driver's log go to DIR. Environment: CHROMIUM and
// CHROMEDRIVER name the programs. Exit code: 0 all passed, 1 some failed.
declare(strict_types=1);

require __DIR__ . '/webdriver.php';

const NODES = ['node-1', 'node-2', 'node-3'];

$passed = $failed = 0;

function check(string $what, mixed $found, mixed $expected): void
{
    global $passed, $failed;
    if ($found === $expected) {
        $passed++;
        echo "ok   - $what\n";
        return;
    }
    $failed++;
    $show = static fn (mixed $value): string => json_encode($value, JSON_UNESCAPED_SLASHES | JSON_PARTIAL_OUTPUT_ON_ERROR);
    echo "FAIL - $what\n       found:    {$show($found)}\n       expected: {$show($expected)}\n";
}

function visit(Browser $browser): int
{
    return (int) $browser->text('.visit strong');
}

/** Reloads $times times; returns the visits' numbers and the nodes that answered. */
function reload(Browser $browser, int $times): array
{
    $numbers = $nodes = [];
    for ($i = 0; $i < $times; $i++) {
        $browser->reload();
        $numbers[] = visit($browser);
        $nodes[$browser->text('.by strong')] = true;
    }
    ksort($nodes);
    return [$numbers, array_keys($nodes)];
}

function look(Browser $browser, string $url, string $pictures, array $stop_a_node): void
{
    $browser->open($url);
    check('the first visit is number 1', visit($browser), 1);
    [$numbers, $nodes] = reload($browser, 8);
    check('eight reloads count from 2 to 9', $numbers, range(2, 9));
    check('all three nodes answer', $nodes, NODES);

    $browser->type('#field', 'written once, known everywhere');
    $browser->send('button[value=save]');
    preg_match('/^Saved by (node-\d), read by (node-\d)\.$/', $browser->text('#value ~ .note'), $match);
    check('the page says who saved the text, and who read it', count($match), 3);
    $readers = [];
    for ($i = 0; $i < 6; $i++) {
        $browser->reload();
        $readers[$browser->text('.by strong')] = $browser->property('#field', 'value');
    }
    ksort($readers);
    check('a text saved on one node is read on all', $readers, array_fill_keys(NODES, 'written once, known everywhere'));

    $stranger = $browser->cookie('PHPSESSID');
    $before = visit($browser);
    $browser->type('#name', 'Ada');
    $browser->send('button[value="log in"]');
    $known = $browser->cookie('PHPSESSID');
    check('the page knows who has logged in', $browser->text('.user'), 'Logged in as Ada');
    check('the login gives the session a new id', $known !== null && $known !== $stranger, true);
    check('the session goes on under its new id', visit($browser), $before + 1);
    $plain = @file_get_contents("$url?plain", false, stream_context_create(['http' => ['header' => "Cookie: PHPSESSID=$stranger"]]));
    check('the id from before the login is worth nothing', json_decode((string) $plain, true)['visits'] ?? null, 1);
    $browser->picture("$pictures/logged-in.png");

    two_tabs($browser, $url);

    exec(implode(' ', array_map('escapeshellarg', $stop_a_node)), $output, $status);
    check('a node is stopped', $status, 0);
    $before = visit($browser);
    [$numbers, $nodes] = reload($browser, 6);
    check('no visit is lost with a node missing', $numbers, range($before + 1, $before + 6));
    check('two nodes answer', count($nodes), 2);
    check('the visitor is still logged in', $browser->text('.user'), 'Logged in as Ada');
    $browser->picture("$pictures/node-stopped.png");

    $browser->send('button[value="log out"]');
    check('after logging out the count starts again', visit($browser), 1);
    check('the page asks for a name again', $browser->property('#name', 'value'), '');
    check('logging out ends the id', in_array($browser->cookie('PHPSESSID'), [null, $known], true), false);
    check('logging out forgets the text', $browser->property('#field', 'value'), '');
    $browser->picture("$pictures/logged-out.png");
}

/** Both tabs ask at the same time, for pages that hold the session for a while. */
function two_tabs(Browser $browser, string $url): void
{
    $before = visit($browser);
    $first = $browser->tab();
    $second = $browser->newTab();
    $browser->open($url);
    foreach ([$first, $second] as $name => $tab) {
        $browser->tab($tab);
        $browser->run("
            window.visits = [];
            (async () => {
                for (let i = 0; i < 5; i++) {
                    const answer = await fetch(`./?plain&hold=100&tab=$name&i=\${i}`, {cache: 'no-store'});
                    window.visits.push((await answer.json()).visits);
                }
                window.finished = true;
            })().catch((error) => { window.finished = String(error); });");
    }
    $numbers = [];
    foreach ([$first, $second] as $tab) {
        $browser->tab($tab);
        check('a tab gets all its answers', await('a tab', fn (): mixed => $browser->run('return window.finished')), true);
        array_push($numbers, ...$browser->run('return window.visits'));
    }
    sort($numbers);
    check('two tabs at once: every visit is counted, none twice', $numbers, range($before + 2, $before + 11));
    $browser->tab($first);
    $browser->open($url);
}

[, $url, $pictures] = $argv;
$browser = null;
$status = 1;
try {
    $browser = new Browser(getenv('CHROMEDRIVER') ?: 'chromedriver', getenv('CHROMIUM') ?: '/usr/bin/chromium', "$pictures/chromedriver.log");
    look($browser, $url, $pictures, array_slice($argv, 3));
    $status = $failed === 0 && $passed > 0 ? 0 : 1;
} catch (Throwable $problem) {
    $failed++;
    echo 'FAIL - ', $problem->getMessage(), "\n";
} finally {
    $browser?->close();
}
echo "$passed passed, $failed failed\n";
exit($status);
