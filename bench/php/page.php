<?php
// A page as small as a page can be, with a session of about 1 KB.
session_start();
$_SESSION['d'] ??= str_repeat('x', 1000);
echo $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
