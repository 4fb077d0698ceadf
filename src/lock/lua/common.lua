-- Shared by all lock scripts; each gets KEYS: session, lock, baton, waiters.
--
-- `waiters` has those who wait, in the order in which they came: a sorted set of
-- 'ticket:until:place', scored with the ticket, which is the server's clock at
-- their arrival (us) and names them. One that sends no heartbeat is forgotten
-- at `until` (ms). `place` is 'line' for one whose BLPOP has the place in the server's queue that
-- its ticket says, and 'aside' for one that had to queue up again, or that polls:
-- those who are served before it may have come after it.
local session, lock, baton, waiters = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
-- A node that is receiving their slot, and has not got all of them, lets only one be declared.
if #KEYS == 1 then lock, baton, waiters = ARGV[#ARGV - 2], ARGV[#ARGV - 1], ARGV[#ARGV] end

-- A user may lack what only the queue needs. Nothing that is changed here depends
-- on that: who cannot be recorded, or offered a lock, looks again after each wait time.
local function refused(answer)
  return type(answer) == 'table' and answer.err ~= nil
end

local clock
-- The server's clock, which does not move while a script runs: seconds, microseconds.
local function now()
  clock = clock or redis.pcall('TIME')
  if refused(clock) then return 0, 0 end
  return tonumber(clock[1]), tonumber(clock[2])
end

local function lives(member)
  local seconds, micros = now()
  return tonumber(string.match(member, ':(%d+):')) > seconds * 1000 + micros / 1000
end

-- The ticket of the one that has waited longest, or nothing. Forgets the dead before it.
local function oldest()
  while true do
    local found = redis.pcall('ZRANGE', waiters, 0, 0)
    local member = not refused(found) and found[1]
    if not member then return nil end
    if lives(member) then return string.match(member, '^%d+') end
    if refused(redis.pcall('ZREM', waiters, member)) then return nil end
  end
end

-- How long the lock lasts (ms); -1 where it never ends, or that cannot be told.
local function left_of_lock()
  local left = redis.pcall('PTTL', lock)
  return refused(left) and -1 or left
end

-- `ticket` waits on, with a place in the 'line' or 'aside', and is forgotten
-- `lasts` ms from now. Returns it, or '' where that is refused.
local function stay(ticket, lasts, place)
  local seconds, micros = now()
  if seconds == 0 or refused(redis.pcall('ZREMRANGEBYSCORE', waiters, ticket, ticket)) then return '' end
  local till = string.format('%.0f', seconds * 1000 + math.floor(micros / 1000) + lasts)
  local member = ticket .. ':' .. till .. ':' .. place
  if refused(redis.pcall('ZADD', waiters, ticket, member)) then return '' end
  local left = redis.pcall('PTTL', waiters)
  if refused(left) or left < tonumber(lasts) then
    if refused(redis.pcall('PEXPIRE', waiters, lasts)) then
      redis.call('DEL', waiters) -- or it would stay for ever
      return ''
    end
  end
  return ticket
end

-- A ticket after all others; nothing where `most` wait already (0 = no limit).
local function new_ticket(most)
  most = tonumber(most)
  local count = most > 0 and redis.pcall('ZCARD', waiters) or 0
  if not refused(count) and most > 0 and count >= most then
    local living = 0
    for _, member in ipairs(redis.call('ZRANGE', waiters, 0, -1)) do
      if lives(member) then living = living + 1 else redis.pcall('ZREM', waiters, member) end
    end
    if living >= most then return nil end
  end
  local seconds, micros = now()
  local last = redis.pcall('ZRANGE', waiters, -1, -1, 'WITHSCORES')
  last = not refused(last) and tonumber(last[2]) or 0
  return string.format('%.0f', math.max(seconds * 1000000 + micros, last + 1))
end

-- `ticket` ('' = none) waits no longer.
local function leave_queue(ticket)
  if ticket ~= '' then redis.pcall('ZREMRANGEBYSCORE', waiters, ticket, ticket) end
end

local function is_baton(value)
  return value and string.sub(value, -6) == ':baton'
end

-- Lays `value` down for `lasts` ms, where the longest blocked BLPOP receives it.
-- Returns whether that is permitted.
local function lay_down(value, lasts)
  if refused(redis.pcall('RPUSH', baton, value)) then return false end
  if not refused(redis.pcall('PEXPIRE', baton, lasts)) then return true end
  redis.call('DEL', baton) -- or it would stay for ever
  return false
end

-- Makes the lock a baton, which the longest blocked BLPOP receives, and which
-- must be claimed in `window` ms. Returns it, or nothing where that is refused.
local function offer(token, window)
  local value = token .. ':baton'
  redis.call('DEL', baton)
  if not lay_down(value, window) then return nil end
  redis.call('SET', lock, value, 'PX', window)
  return value
end

-- Releases the lock that `token` holds: hands it to those that wait, or deletes it.
local function hand_over(token, window)
  if not (oldest() and offer(token, window)) then redis.call('DEL', lock) end
end

-- Offers `value`, the lock's baton, again, which a waiter received and has not
-- claimed: the first to claim it has it. Only if it has less than `left` ms to live.
local function offer_again(value, left)
  if redis.call('EXISTS', baton) == 1 then return end
  local lives_for = left_of_lock()
  if lives_for > 0 and lives_for < left then lay_down(value, lives_for) end
end

-- Records one that has to wait for `holder`: a foreign one hands nothing over, so
-- those who wait for it poll. Returns its ticket ('' where it cannot be recorded),
-- or nothing where `most` wait already.
local function queue_up(ticket, lasts, place, most, holder)
  if ticket == '' then ticket = new_ticket(most) end
  if not ticket then return nil end
  return stay(ticket, lasts, string.sub(holder, 1, 4) == 'rs1:' and place or 'aside')
end

-- Whether the session is there, as `wanted` (any, known, unused) asks for.
local function is_wanted(wanted)
  return wanted == 'any' or redis.call('EXISTS', session) == (wanted == 'known' and 1 or 0)
end

-- Starts the session's TTL again: `how` is seconds, 0 for not at all, or
-- 'seconds<ms' where it is to start only if less than that is left. That is a
-- courtesy: where it is not permitted, the session lives as long as it would have.
local function refresh(how)
  local ttl, short = string.match(how, '^(%d+)<?(%d*)$')
  if short ~= '' then
    local left = redis.pcall('PTTL', session)
    -- Who may not ask how much is left may still start it again.
    if refused(left) or left >= 0 and left < tonumber(short) then
      redis.pcall('EXPIRE', session, ttl)
    end
  elseif ttl ~= '0' then
    redis.call('EXPIRE', session, ttl)
  end
end
