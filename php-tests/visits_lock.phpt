--TEST--
A script that serves many visits: what a visit leaves open ends with it
--SKIPIF--
<?php
require __DIR__ . '/skip.inc';
needs_ffi();
?>
--FILE--
<?php
require __DIR__ . '/common.inc';

echo php(<<<'CODE'
    require $_SERVER['VISITS'];
    ob_start();
    class Throws extends SessionHandler
    {
        public function read($id): string|false { parent::read($id); throw new Exception('thrown'); }
    }
    class KeepsOpen extends SessionHandler
    {
        public function close(): bool { return true; }
    }
    function handlers(): string
    {
        ob_start();
        (new ReflectionExtension('redis_session'))->info();
        preg_match('~Open handlers of this process => (\d+)~', ob_get_clean(), $match);
        return $match[1];
    }
    end_of_visit();
    foreach ([Throws::class, KeepsOpen::class, SessionHandler::class] as $class) {
        begin_visit();
        session_set_save_handler(new $class);
        session_id('visitor');
        try {
            session_start();
        } catch (Exception $e) {
            echo $e->getMessage(), ' ';
        }
        echo handlers();
        end_of_visit();
        echo handlers(), "\n";
    }
    CODE, ini: ['redis.session.locking_enabled' => 1, 'redis.session.lock_retries' => 5], extensions: with_ffi(),
    env: ['VISITS' => __DIR__ . '/visits.inc']);
var_dump(keys());
?>
--EXPECT--
thrown 10
10
10
array(1) {
  [0]=>
  string(24) "PHPREDIS_SESSION:visitor"
}
