-- ARGV: token, TTL (s, 0 = leave), claim window (ms; 0 = keep the lock)
-- Returns 1 when done, 0 where the lock is not ours, 2 where the session is gone, which it stays.
if redis.call('GET', lock) ~= ARGV[1] then return 0 end
local gone = ARGV[2] ~= '0' and redis.call('EXPIRE', session, ARGV[2]) == 0
if ARGV[3] ~= '0' then hand_over(ARGV[1], ARGV[3]) end
return gone and 2 or 1
