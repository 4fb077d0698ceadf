<?php
// What a visitor sees when session_start() fails; index.php includes it.
declare(strict_types=1);
?>
<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>No session</title>
  <link rel="stylesheet" href="style.css">
</head>
<body>
<main>
  <header>
    <h1>No session this time</h1>
    <p><?= html($node) ?> could not start your session; the log of php-fpm says why. Nothing is lost: try again.</p>
  </header>
  <p class="again"><a class="button" href="./">Reload</a></p>
</main>
</body>
</html>
