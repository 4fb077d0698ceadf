--TEST--
Upload progress is kept in the session
--INI--
session.save_handler="${REDIS_SESSION_TEST_HANDLER}"
session.save_path="${REDIS_SESSION_TEST_SAVE_PATH}"
session.use_cookies=1
session.upload_progress.enabled=1
session.upload_progress.cleanup=0
session.upload_progress.freq=1
session.upload_progress.min_freq=0
file_uploads=1
--COOKIE--
PHPSESSID=visitor
--POST_RAW--
Content-Type: multipart/form-data; boundary=cut
--cut
Content-Disposition: form-data; name="PHP_SESSION_UPLOAD_PROGRESS"

form
--cut
Content-Disposition: form-data; name="file"; filename="a.txt"
Content-Type: text/plain

some text
--cut--
--FILE--
<?php
session_start(['read_and_close' => true]);
require __DIR__ . '/common.inc';

// The progress of the upload of this very request, stored before it ran.
$progress = $_SESSION['upload_progress_form'];
var_dump($progress['done'], $progress['content_length'], $progress['files'][0]['name'], $progress['files'][0]['done']);
?>
--EXPECTF--
bool(true)
int(%d)
string(5) "a.txt"
bool(true)
