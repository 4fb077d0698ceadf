-- ARGV: token, lease (ms), TTL to refresh (s, as refresh() takes it), wanted (any, known), claim window (ms),
--       ticket, how long it lasts (ms), the baton BLPOP gave
-- Returns {1} with the lock taken; {0, lock's PTTL, lock's value, ticket} where the baton is out of date,
--         or another one's turn; {2} where the session is not as wanted: the baton is passed on.

-- Whether one aside lives that came before `ticket`, and is to be served first
-- while it is `early`. One that did not show itself in time is not waited for
-- again until it does.
local function passed_over(ticket, early)
  local before = redis.pcall('ZRANGEBYSCORE', waiters, '-inf', '(' .. ticket)
  for _, member in ipairs(refused(before) and {} or before) do
    if string.sub(member, -6) == ':aside' and lives(member) then
      if early then return true end
      local in_line = string.sub(member, 1, -6) .. 'line'
      redis.call('ZREM', waiters, member)
      redis.call('ZADD', waiters, string.match(member, '^%d+'), in_line)
    end
  end
  return false
end

local token, window, ticket, lasts = ARGV[1], ARGV[5], ARGV[6], ARGV[7]
local holder = redis.call('GET', lock)
if holder ~= token then -- else claimed twice, as the first answer was lost
  local left = left_of_lock()
  local valid = holder == ARGV[8]
  -- How long those aside have to take what was offered to another one.
  local early = left > window - 100
  if not valid or passed_over(ticket, early) then
    if valid then offer_again(holder, left + 1) end
    return {0, left, holder, stay(ticket, lasts, 'aside')}
  end
end
leave_queue(ticket)
if not is_wanted(ARGV[4]) then
  hand_over(token, window)
  return {2}
end
redis.call('SET', lock, token, 'PX', ARGV[2])
refresh(ARGV[3])
return {1}
