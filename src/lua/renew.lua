-- ARGV: token, lease (ms)
-- Returns 1 if we hold the lock, which then lasts for another lease, else 0.
if redis.call('GET', lock) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', lock, ARGV[2])
return 1
