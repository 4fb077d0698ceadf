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
    $browser->size(1280, 720);
    check('what to try is seen without scrolling', lowest($browser, '#try ~ ul') <= 720, true);
    $browser->screen("$pictures/first-screen.png");
    $browser->ownSize();
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
    slow_page($browser);
    on_a_phone($browser, $pictures);
    check('the page says that all three nodes run', nodes_shown($browser, 'runs'), array_fill_keys(NODES, 'runs'));

    exec(implode(' ', array_map('escapeshellarg', $stop_a_node)), $output, $status);
    check('a node is stopped', $status, 0);
    $shown = nodes_shown($browser, 'stopped');
    check('the page shows which node is down, without a reload', count(array_keys($shown, 'stopped', true)), 1);
    $before = visit($browser);
    [$numbers, $nodes] = reload($browser, 6);
    check('no visit is lost with a node missing', $numbers, range($before + 1, $before + 6));
    check('two nodes answer', count($nodes), 2);
    nodes_shown($browser, 'stopped');
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

/** What the page's own suggestion promises: a slow page, and this one reloaded at once. */
function slow_page(Browser $browser): void
{
    $before = visit($browser);
    $here = $browser->tab();
    $slow = $browser->follow('#try ~ ul a[target=_blank]');
    await('the slow page to have the session', fn (): ?bool => is_locked($browser) ?: null);
    $browser->send('.again .button');
    check('a page that is reloaded while a slow one runs waits its turn', visit($browser), $before + 2);
    $browser->tab($slow);
    check('and the slow one has the visit before it', visit($browser), $before + 1);
    $browser->closeTab();
    $browser->tab($here);
}

/** Whether somebody has this visitor's session, as Redis says. */
function is_locked(Browser $browser): bool
{
    static $redis;
    preg_match('~tcp://[\d.:]+~', $browser->text('#session ~ dl'), $server);
    $redis ??= stream_socket_client($server[0], $code, $reason, 5.0) ?: throw new RuntimeException("$server[0]: $reason");
    $key = "PHPREDIS_SESSION:{$browser->cookie('PHPSESSID')}_LOCK";
    fwrite($redis, sprintf("*2\r\n$6\r\nEXISTS\r\n$%d\r\n%s\r\n", strlen($key), $key));
    return trim((string) fgets($redis)) === ':1';
}

/** A name as long as the form takes, on the narrowest of usual phones. */
function on_a_phone(Browser $browser, string $pictures): void
{
    $browser->send('button[value="log out"]');
    $browser->type('#name', str_repeat('W', 60));
    $browser->send('button[value="log in"]');
    $browser->size(390, 844);
    check('nothing is wider than a phone', $browser->run('return document.documentElement.scrollWidth'), 390);
    check('a long name leaves "Log out" in sight', $browser->run(
        'return document.querySelector("button[value=\\"log out\\"]").getBoundingClientRect().right <= innerWidth',
    ), true);
    check('"Reload" and what to try are seen first there', lowest($browser, '#try') <= 844, true);
    $browser->screen("$pictures/phone.png");
    $browser->run('document.querySelector("#login").scrollIntoView()');
    $browser->screen("$pictures/phone-login.png");
    $browser->ownSize();
    $browser->send('button[value="log out"]');
    $browser->type('#field', 'written once, known everywhere');
    $browser->send('button[value=save]');
    $browser->type('#name', 'Ada');
    $browser->send('button[value="log in"]');
}

/** Where an element ends, in pixels from the top of the page. */
function lowest(Browser $browser, string $selector): float
{
    return (float) $browser->run("scrollTo(0, 0); return document.querySelector('$selector').getBoundingClientRect().bottom");
}

/** What the page says of each node, once it has asked them all and one of them $state. */
function nodes_shown(Browser $browser, string $state): array
{
    return await("a node of which the page says: $state", function () use ($browser, $state): ?array {
        $shown = $browser->run('return Object.fromEntries([...document.querySelectorAll("[data-node]")]
            .map((item) => [item.dataset.node, item.querySelector("span").textContent]))');
        return !in_array('', $shown, true) && in_array($state, $shown, true) ? $shown : null;
    });
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
