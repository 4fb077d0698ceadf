-- ARGV: token, claim window (ms)
-- Deletes the session, then releases the lock if it is ours. Returns 1.
redis.call('DEL', session)
if redis.call('GET', lock) == ARGV[1] then hand_over(ARGV[1], ARGV[2]) end
return 1
