<?php
// A browser, driven over the W3C's WebDriver protocol: JSON over HTTP, for
// which PHP needs no library. Knows nothing of the page that it looks at.
declare(strict_types=1);

final class Browser
{
    private const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'; // the protocol's name of an element's id

    /** @var resource */
    private $driver;
    private string $base;
    private string $profile;
    private string $session = '';

    /** Starts $driver on a free port, and by it the browser $binary. */
    public function __construct(string $driver, string $binary, string $log)
    {
        $this->profile = sys_get_temp_dir() . '/redis-session-browser.' . bin2hex(random_bytes(6));
        mkdir($this->profile, 0700);
        // The parent of all it starts: it ends the browser when it is asked to end.
        $this->driver = proc_open(
            [$driver, '--port=0', '--log-level=INFO'],
            [['file', '/dev/null', 'r'], ['file', $log, 'w'], ['file', $log, 'a']],
            $pipes,
        ) ?: throw new RuntimeException("$driver does not start");
        try {
            $this->begin($binary, $log);
        } catch (Throwable $problem) {
            $this->close();
            throw $problem;
        }
    }

    private function begin(string $binary, string $log): void
    {
        $port = await('a port of the driver', function () use ($log): ?string {
            if (!proc_get_status($this->driver)['running']) {
                throw new RuntimeException("the driver has ended; see $log");
            }
            return preg_match('/successfully on port (\d+)/', (string) file_get_contents($log), $match) ? $match[1] : null;
        });
        $this->base = "http://127.0.0.1:$port";
        $options = [
            'binary' => $binary,
            'args' => [
                '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage',
                '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
                '--no-proxy-server', '--hide-scrollbars', '--window-size=1280,1200', "--user-data-dir=$this->profile",
            ],
        ];
        $capabilities = ['alwaysMatch' => ['browserName' => 'chrome', 'goog:chromeOptions' => $options]];
        $this->session = $this->ask('POST', '/session', ['capabilities' => $capabilities])['sessionId'];
    }

    public function close(): void
    {
        if ($this->session !== '') {
            $this->ask('DELETE', "/session/$this->session");
        }
        proc_terminate($this->driver);
        proc_close($this->driver);
        exec('rm -rf ' . escapeshellarg($this->profile));
    }

    /** Loads a page, and returns when it is there. */
    public function open(string $url): void
    {
        $this->command('POST', '/url', ['url' => $url]);
    }

    public function reload(): void
    {
        $this->command('POST', '/refresh', []);
    }

    /** The text of the element that the CSS selector names, as a person sees it. */
    public function text(string $selector): string
    {
        return $this->command('GET', "/element/{$this->find($selector)}/text");
    }

    public function property(string $selector, string $name): mixed
    {
        return $this->command('GET', "/element/{$this->find($selector)}/property/$name");
    }

    public function type(string $selector, string $text): void
    {
        $element = $this->find($selector);
        $this->command('POST', "/element/$element/clear", []);
        $this->command('POST', "/element/$element/value", ['text' => $text]);
    }

    /** Clicks on what sends a form, and returns when the page after it is there. */
    public function send(string $selector): void
    {
        // Between two pages there is a moment without any element, but never
        // one without a window: the next one's does not have the mark.
        $this->run('window.isBeforeSending = true');
        $this->command('POST', "/element/{$this->find($selector)}/click", []);
        await('the page after the form', fn (): ?bool => $this->run(
            'return !window.isBeforeSending && document.readyState === "complete"',
        ) ?: null);
    }

    public function cookie(string $name): ?string
    {
        foreach ($this->command('GET', '/cookie') as $cookie) {
            if ($cookie['name'] === $name) {
                return $cookie['value'];
            }
        }
        return null;
    }

    /** Runs JavaScript in the page, and returns what it returns. */
    public function run(string $script): mixed
    {
        return $this->command('POST', '/execute/sync', ['script' => $script, 'args' => []]);
    }

    /** Opens another tab and goes to it; returns its handle, for tab(). */
    public function newTab(): string
    {
        return $this->tab($this->command('POST', '/window/new', ['type' => 'tab'])['handle']);
    }

    public function tab(?string $handle = null): string
    {
        if ($handle !== null) {
            $this->command('POST', '/window', ['handle' => $handle]);
        }
        return $this->command('GET', '/window');
    }

    /** Saves what the window shows as a PNG, of the given width and as high as the page. */
    public function picture(string $file, int $width = 900): void
    {
        $this->command('POST', '/window/rect', ['width' => $width, 'height' => 400]);
        // The window's own frame counts too.
        $height = $this->run('return Math.ceil(document.documentElement.getBoundingClientRect().height) + outerHeight - innerHeight');
        $this->command('POST', '/window/rect', ['width' => $width, 'height' => $height]);
        file_put_contents($file, base64_decode($this->command('GET', '/screenshot'), true));
    }

    /** Gives the page a window of this size, of a phone, too, for which a real window is too wide. */
    public function size(int $width, int $height): void
    {
        $screen = ['width' => $width, 'height' => $height, 'deviceScaleFactor' => 1, 'mobile' => false];
        $this->command('POST', '/goog/cdp/execute', ['cmd' => 'Emulation.setDeviceMetricsOverride', 'params' => $screen]);
    }

    /** Takes back what size() has done. */
    public function ownSize(): void
    {
        $this->command('POST', '/goog/cdp/execute', ['cmd' => 'Emulation.clearDeviceMetricsOverride', 'params' => new stdClass()]);
    }

    /** Saves what is to be seen without scrolling. */
    public function screen(string $file): void
    {
        file_put_contents($file, base64_decode($this->command('GET', '/screenshot'), true));
    }

    /** Clicks on a link that opens a tab, and returns the tab's handle without going there. */
    public function follow(string $selector): string
    {
        $before = $this->command('GET', '/window/handles');
        $this->command('POST', "/element/{$this->find($selector)}/click", []);
        return await('the new tab', fn (): ?string => array_values(array_diff($this->command('GET', '/window/handles'), $before))[0] ?? null);
    }

    public function closeTab(): void
    {
        $this->command('DELETE', '/window');
    }

    private function find(string $selector): string
    {
        return $this->command('POST', '/element', ['using' => 'css selector', 'value' => $selector])[self::ELEMENT];
    }

    private function command(string $method, string $path, ?array $body = null): mixed
    {
        return $this->ask($method, "/session/$this->session$path", $body);
    }

    private function ask(string $method, string $path, ?array $body = null): mixed
    {
        $content = $body === null ? '' : json_encode($body ?: new stdClass(), JSON_THROW_ON_ERROR);
        $driver = stream_socket_client(substr_replace($this->base, 'tcp', 0, 4), $code, $reason, 5.0)
            ?: throw new RuntimeException("the driver does not listen: $reason");
        stream_set_timeout($driver, 60);
        fwrite($driver, "$method $path HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
            . strlen($content) . "\r\n\r\n$content");
        // The driver keeps the connection open: PHP's own client would wait for its end.
        $length = null;
        while (($line = fgets($driver)) !== false && trim($line) !== '') {
            $length = preg_match('/^Content-Length: *(\d+)/i', $line, $match) ? (int) $match[1] : $length;
        }
        $answer = $length === null ? false : stream_get_contents($driver, $length);
        fclose($driver);
        if ($answer === false || strlen($answer) !== $length) {
            throw new RuntimeException("the driver does not answer to $method $path");
        }
        $value = json_decode($answer, true, 64, JSON_THROW_ON_ERROR)['value'] ?? null;
        if (isset($value['error'])) {
            throw new RuntimeException("$method $path: {$value['error']}: {$value['message']}");
        }
        return $value;
    }
}

/** Asks until the answer is not null, for at most half a minute. */
function await(string $what, callable $question): mixed
{
    for ($end = microtime(true) + 30.0; microtime(true) < $end; usleep(20_000)) {
        if (($answer = $question()) !== null) {
            return $answer;
        }
    }
    throw new RuntimeException("waited half a minute, in vain, for $what");
}
