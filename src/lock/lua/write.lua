-- ARGV: token, TTL (s), claim window (ms; 0 = keep the lock), 1 where this is a repeat,
--       1 where the session was there when it was read, data
-- Returns 1 when stored; 0 where the lock is not ours, 2 where the session is gone: then nothing was written.
local gone = ARGV[5] == '1' and redis.call('EXISTS', session) == 0
if redis.call('GET', lock) ~= ARGV[1] then
  if ARGV[4] ~= '1' then return 0 end
  -- The answer to the first attempt may have been lost after it was done.
  if gone then return 2 end
  return redis.call('GET', session) == ARGV[6] and 1 or 0
end
if not gone then redis.call('SETEX', session, ARGV[2], ARGV[6]) end
if ARGV[3] ~= '0' then hand_over(ARGV[1], ARGV[3]) end
return gone and 2 or 1
