-- ARGV: token, TTL (s, 0 = leave), claim window (ms; 0 = keep the lock)
-- Returns 1 when done, 0 where the lock is not ours, 2 where the session is gone (the lock is kept).
if redis.call('GET', lock) ~= ARGV[1] then return 0 end
if ARGV[2] ~= '0' and redis.call('EXPIRE', session, ARGV[2]) == 0 then return 2 end
if ARGV[3] ~= '0' then hand_over(ARGV[1], ARGV[3]) end
return 1
