-- ARGV: token, TTL (s), claim window (ms; 0 = keep the lock), 1 where this is a repeat, data
-- Returns 1 when stored, 0 where the lock is not ours: then nothing was written.
if redis.call('GET', lock) ~= ARGV[1] then
  -- The answer to the first attempt may have been lost after it was stored.
  return ARGV[4] == '1' and redis.call('GET', session) == ARGV[5] and 1 or 0
end
redis.call('SETEX', session, ARGV[2], ARGV[5])
if ARGV[3] ~= '0' then hand_over(ARGV[1], ARGV[3]) end
return 1
