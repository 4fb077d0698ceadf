-- Shared by all lock scripts; each gets KEYS: session, lock, baton, waiters.
--
-- `waiters` has those who wait, in the order in which they came: a sorted set of
-- 'ticket:until:place', scored with the ticket, which is the server's clock at
-- their arrival (us) and names them. One who shows no sign of life is forgotten
-- at `until` (ms). `place` is 'line' for one that stands in the server's queue where
-- its ticket says, and 'aside' for one that had to queue up again, or that polls:
-- those who are served before it may have come after it.
local session, lock, baton, waiters = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
-- A node that is receiving their slot, and has not got all of them, lets only one be declared.
if #KEYS == 1 then lock, baton, waiters = ARGV[#ARGV - 2], ARGV[#ARGV - 1], ARGV[#ARGV] end

local clock
-- The server's clock, which stands still while a script runs: seconds, microseconds.
local function now()
  if not clock then clock = redis.call('TIME') end
  return tonumber(clock[1]), tonumber(clock[2])
end

local function lives(member)
  local seconds, micros = now()
  return tonumber(string.match(member, ':(%d+):')) > seconds * 1000 + micros / 1000
end

-- The ticket of the one who has waited longest, or nothing. Forgets the dead before it.
local function oldest()
  while true do
    local member = redis.call('ZRANGE', waiters, 0, 0)[1]
    if not member then return nil end
    if lives(member) then return string.match(member, '^%d+') end
    redis.call('ZREM', waiters, member)
  end
end

-- `ticket` waits on, with a place in the 'line' or 'aside', and is forgotten
-- `lasts` ms from now.
local function stay(ticket, lasts, place)
  local seconds, micros = now()
  local till = string.format('%.0f', seconds * 1000 + math.floor(micros / 1000) + lasts)
  redis.call('ZREMRANGEBYSCORE', waiters, ticket, ticket)
  redis.call('ZADD', waiters, ticket, ticket .. ':' .. till .. ':' .. place)
  if redis.call('PTTL', waiters) < tonumber(lasts) then redis.call('PEXPIRE', waiters, lasts) end
end

-- A ticket behind all others; nothing where `most` wait already (0 = no limit).
local function new_ticket(most)
  most = tonumber(most)
  if most > 0 and redis.call('ZCARD', waiters) >= most then
    local living = 0
    for _, member in ipairs(redis.call('ZRANGE', waiters, 0, -1)) do
      if lives(member) then living = living + 1 else redis.call('ZREM', waiters, member) end
    end
    if living >= most then return nil end
  end
  local seconds, micros = now()
  local last = tonumber(redis.call('ZRANGE', waiters, -1, -1, 'WITHSCORES')[2] or 0)
  return string.format('%.0f', math.max(seconds * 1000000 + micros, last + 1))
end

-- `ticket` ('' = none) waits no longer.
local function leave_queue(ticket)
  if ticket ~= '' then redis.call('ZREMRANGEBYSCORE', waiters, ticket, ticket) end
end

local function is_baton(value)
  return value and string.sub(value, -6) == ':baton'
end

-- Makes the lock a baton, which the longest blocked BLPOP receives, and which
-- must be claimed in `window` ms. Returns it.
local function offer(token, window)
  local value = token .. ':baton'
  redis.call('SET', lock, value, 'PX', window)
  redis.call('DEL', baton)
  redis.call('RPUSH', baton, value)
  redis.call('PEXPIRE', baton, window)
  return value
end

-- Lets go of the lock that `token` holds: to those who wait, or altogether.
local function hand_over(token, window)
  if oldest() then offer(token, window) else redis.call('DEL', lock) end
end

-- Offers `value`, the lock's baton, again, which somebody was given and has not
-- claimed: whoever claims it first has it. Only if it has less than `left` ms to live.
local function offer_again(value, left)
  if redis.call('EXISTS', baton) == 1 then return end
  local lives_for = redis.call('PTTL', lock)
  if lives_for > 0 and lives_for < left then
    redis.call('RPUSH', baton, value)
    redis.call('PEXPIRE', baton, lives_for)
  end
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
    if type(left) == 'number' and left >= 0 and left < tonumber(short) then
      redis.pcall('EXPIRE', session, ttl)
    end
  elseif ttl ~= '0' then
    redis.call('EXPIRE', session, ttl)
  end
end
