<?php
// One of several workers that want one session. Arguments: its number, how
// often, and how long it holds the session and thinks in between (microseconds).
// It connects with a session of its own, says so, and starts when standard
// input is closed.
ob_start();
[, $me, $times, $hold, $think] = $argv;
session_id("warm-$me");
session_start();
session_write_close();
fwrite(STDERR, "r");
fgets(STDIN);
$turns = [];
for ($n = 0; $n < $times; $n++) {
    session_id('shared');
    $asked = hrtime(true);
    if (!session_start()) { fwrite(STDERR, "x"); continue; }
    $entered = hrtime(true);
    $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
    usleep((int) $hold);
    $leaves = hrtime(true);
    session_write_close();
    $turns[] = [$asked, $entered, $leaves, hrtime(true)];
    if ($think) { usleep(random_int(0, 2 * $think)); }
}
ob_end_clean();
echo json_encode($turns);
