-- ARGV: token, lease (ms, 0 = leave), the session's TTL (s, as refresh() takes it)
-- Returns 1 if we hold the lock, which then lasts for another lease, and its
-- session with it; else 0.
if redis.call('GET', lock) ~= ARGV[1] then return 0 end
if ARGV[2] ~= '0' then redis.call('SET', lock, ARGV[1], 'PX', ARGV[2]) end
refresh(ARGV[3])
return 1
