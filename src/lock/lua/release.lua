-- ARGV: token, claim window (ms)
-- Returns 1 if we held the lock and released it, else 0.
if redis.call('GET', lock) ~= ARGV[1] then return 0 end
hand_over(ARGV[1], ARGV[2])
return 1
