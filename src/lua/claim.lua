-- ARGV: token, lease (ms), TTL to refresh (s, as refresh() takes it), wanted (any, known), the baton BLPOP gave,
--       claim window (ms)
-- Returns {1} with the lock taken; {0, lock's PTTL, lock's value} where the baton is out of date;
--         {2} where the session is not as wanted: the baton is passed on.
local holder = redis.call('GET', lock)
if holder ~= ARGV[5] then return {0, redis.call('PTTL', lock), holder} end
leave_queue()
if not is_wanted(ARGV[4]) then
  hand_over(string.sub(holder, 1, -7), ARGV[6]) -- without ':baton'
  return {2}
end
redis.call('SET', lock, ARGV[1], 'PX', ARGV[2])
refresh(ARGV[3])
return {1}
