-- ARGV: token, lease (ms), TTL to refresh (s, 0 = leave), the baton BLPOP gave
-- Returns {1, data} with the lock taken, or {0, lock's PTTL, lock's value} where the baton is out of date.
local holder = redis.call('GET', lock)
if holder ~= ARGV[4] then return {0, redis.call('PTTL', lock), holder} end
redis.call('SET', lock, ARGV[1], 'PX', ARGV[2])
leave_queue()
return {1, read(ARGV[3])}
