-- KEYS[5]: the session's new data, under a key of this request's own
-- ARGV: token, TTL (s), claim window (ms; 0 = keep the lock), 1 where this is a repeat
-- Returns 1 when stored, 0 where the lock is not ours: then nothing was written.
local staged = KEYS[5]
if redis.call('GET', lock) ~= ARGV[1] then
  -- The answer to the first attempt may have been lost after it was stored.
  local stored = ARGV[4] == '1' and redis.call('GET', session) == redis.call('GET', staged)
  redis.call('DEL', staged)
  return stored and 1 or 0
end
redis.call('RENAME', staged, session)
redis.call('EXPIRE', session, ARGV[2])
if ARGV[3] ~= '0' then hand_over(ARGV[1], ARGV[3]) end
return 1
