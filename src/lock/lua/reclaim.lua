-- ARGV: token, lease (ms), 1 where the session was there when it was read, its data then
-- Returns 1 with the lock taken: no one holds it, and the session is as it was; else 0.
local before = ARGV[3] == '1' and ARGV[4]
if redis.call('EXISTS', lock) == 1 or redis.call('GET', session) ~= before then return 0 end
redis.call('SET', lock, ARGV[1], 'PX', ARGV[2])
return 1
