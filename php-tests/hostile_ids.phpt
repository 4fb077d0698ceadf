--TEST--
Ids that could be another key or break a log are refused with a warning that does not show them
--FILE--
<?php
require __DIR__ . '/common.inc';

show_messages();
foreach (['', str_repeat('x', 257), "a\x01b", "a\x7fb", 'a_LOCK', 'a_BATON', 'a_WAITERS'] as $id) {
    session_id($id);
    session_start();
    echo session_status() === PHP_SESSION_ACTIVE ? 'started' : 'refused', "\n";
    echo session_id() === $id ? 'own id' : 'new id', "\n";
    session_abort();
}
echo implode(' ', keys()), "\n";
?>
--EXPECTF--
started
new id
warning: session_start(): Invalid session key: the session id is longer than 256 bytes
warning: session_start(): Failed to read session data: redis (path: %s)
refused
new id
warning: session_start(): Invalid session key: the session id contains white space or control characters
warning: session_start(): Failed to read session data: redis (path: %s)
refused
new id
warning: session_start(): Invalid session key: the session id contains white space or control characters
warning: session_start(): Failed to read session data: redis (path: %s)
refused
new id
warning: session_start(): Invalid session key: the session id ends with a word that is reserved for this handler's own keys (_LOCK, _BATON, _WAITERS)
warning: session_start(): Failed to read session data: redis (path: %s)
refused
new id
warning: session_start(): Invalid session key: the session id ends with a word that is reserved for this handler's own keys (_LOCK, _BATON, _WAITERS)
warning: session_start(): Failed to read session data: redis (path: %s)
refused
new id
warning: session_start(): Invalid session key: the session id ends with a word that is reserved for this handler's own keys (_LOCK, _BATON, _WAITERS)
warning: session_start(): Failed to read session data: redis (path: %s)
refused
new id
