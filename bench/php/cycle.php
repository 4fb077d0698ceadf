<?php
// CPU and wall time of one cycle, in microseconds: start, read, change, write.
// Arguments: cycles, bytes of payload, sessions to take turns with (1 where left out).
[, $count, $size] = $argv;
$sessions = (int) ($argv[3] ?? 1);
function cycle(int $n, int $sessions): void
{
    if ($sessions > 1) { session_id('s' . random_int(1, $sessions)); }
    session_start() or exit(1);
    $_SESSION['n'] = $n;
    session_write_close();
}
function cpu(): int
{
    $used = getrusage();
    return ($used['ru_utime.tv_sec'] + $used['ru_stime.tv_sec']) * 1000000 + $used['ru_utime.tv_usec'] + $used['ru_stime.tv_usec'];
}
if ($sessions == 1) {
    session_id("bench$size");
    session_start() or exit(1);
    $_SESSION = ['d' => str_repeat('x', (int) $size), 'n' => 0];
    session_write_close();
}
for ($n = 0; $n < min(30, $count); $n++) { cycle($n, $sessions); }
echo "ready\n";
fgets(STDIN);
$cpu = cpu();
$start = hrtime(true);
for ($n = 0; $n < $count; $n++) { cycle($n, $sessions); }
printf("%.3f %.3f\n", (cpu() - $cpu) / $count, (hrtime(true) - $start) / 1e3 / $count);
