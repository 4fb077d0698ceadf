-- KEYS[5]: the session's new data, under a key of this request's own
-- ARGV: token, TTL (s), claim window (ms; 0 = keep the lock), 1 where this is a repeat,
--       1 where the session was there when it was read
-- Returns 1 when stored; 0 where the lock is not ours, 2 where the session is gone: then nothing was written.
local staged = KEYS[5]
local gone = ARGV[5] == '1' and redis.call('EXISTS', session) == 0
if redis.call('GET', lock) ~= ARGV[1] then
  -- The answer to the first attempt may have been lost after it was done.
  local stored = ARGV[4] == '1' and not gone and redis.call('GET', session) == redis.call('GET', staged)
  redis.call('DEL', staged)
  if ARGV[4] == '1' and gone then return 2 end
  return stored and 1 or 0
end
if gone then
  redis.call('DEL', staged)
else
  local stored = redis.pcall('RENAME', staged, session)
  if not refused(stored) then
    redis.call('EXPIRE', session, ARGV[2])
  else
    local bytes = redis.call('GET', staged)
    if bytes then stored = redis.pcall('SETEX', session, ARGV[2], bytes) end
    redis.call('DEL', staged)
    if refused(stored) then return stored end
  end
end
if ARGV[3] ~= '0' then hand_over(ARGV[1], ARGV[3]) end
return gone and 2 or 1
