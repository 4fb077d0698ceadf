-- ARGV: token, lease (ms), TTL to refresh (s, 0 = leave), wanted (any, known, unused), patience, most waiters
-- Returns {1, data} with the lock taken; {0, lock's PTTL, lock's value} where it is busy;
--         {2} where the session is not as wanted; {3, nil, lock's value} where too many wait.
local token, lease, wanted, patience = ARGV[1], ARGV[2], ARGV[4], ARGV[5]
if wanted ~= 'any' and redis.call('EXISTS', session) ~= (wanted == 'known' and 1 or 0) then return {2} end
local taken = redis.call('SET', lock, token, 'NX', 'PX', lease)
local holder = not taken and redis.call('GET', lock)
if holder == token then
  taken = true -- asked twice, as the first answer was lost
elseif holder then
  -- A baton still in the list has nobody blocked for it: take it over.
  local left = redis.call('LPOP', baton)
  if left and left == holder then
    redis.call('SET', lock, token, 'PX', lease)
    taken = true
  end
end
if taken then
  if patience == 'counted' then leave_queue() end
  return {1, read(ARGV[3])}
end
if not queue_up(patience, ARGV[6]) then return {3, false, holder} end
return {0, redis.call('PTTL', lock), holder}
