-- ARGV: token, lease (ms), TTL to refresh (s, as refresh() takes it), wanted (any, known, unused), patience, most waiters
-- Returns {1} with the lock taken; {0, lock's PTTL, lock's value} where it is busy;
--         {2} where the session is not as wanted; {3, nil, lock's value} where too many wait.
local token, lease, patience = ARGV[1], ARGV[2], ARGV[5]
if not is_wanted(ARGV[4]) then
  if patience == 'counted' then leave_queue() end
  return {2}
end
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
  refresh(ARGV[3])
  return {1}
end
if not queue_up(patience, ARGV[6]) then return {3, false, holder} end
offer_again(250) -- a living waiter claims in far less than that
return {0, redis.call('PTTL', lock), holder}
