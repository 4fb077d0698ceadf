-- ARGV: token, lease (ms), TTL to refresh (s, as refresh() takes it), wanted (any, known, unused), claim window (ms),
--       ticket ('' = none yet), how long it lasts (ms, 0 = will not wait), place (line, aside), most waiters
-- Returns {1} with the lock taken; {0, lock's PTTL, lock's value, ticket ('' = cannot queue up)} where it is busy;
--         {2} where the session is not as wanted; {3, nil, lock's value} where too many wait.
local token, lease, window, ticket, lasts = ARGV[1], ARGV[2], ARGV[5], ARGV[6], ARGV[7]
if not is_wanted(ARGV[4]) then
  leave_queue(ticket)
  return {2}
end
local first = oldest()
local is_next = not first or ticket ~= '' and tonumber(ticket) <= tonumber(first)
local taken = redis.call('SET', lock, token, 'NX', 'PX', lease)
local holder = token
if taken then
  -- It had expired or was removed while others wait: they come first.
  local offered = not is_next and offer(token, window)
  if offered then holder, taken = offered, false end
else
  holder = redis.call('GET', lock) or ''
  if holder == token then
    taken = true -- asked twice, as the first answer was lost
  elseif is_baton(holder) then
    -- If it is still in the list, no one is blocked for it.
    if is_next and (first or redis.pcall('LINDEX', baton, 0) == holder) then
      redis.call('SET', lock, token, 'PX', lease)
      redis.call('DEL', baton)
      taken = true
    else
      offer_again(holder, 250) -- a living waiter claims in far less than that
    end
  end
end
if taken then
  leave_queue(ticket)
  refresh(ARGV[3])
  return {1}
end
if lasts ~= '0' then
  ticket = queue_up(ticket, lasts, ARGV[8], ARGV[9], holder)
  if not ticket then return {3, false, holder} end
end
return {0, left_of_lock(), holder, ticket}
