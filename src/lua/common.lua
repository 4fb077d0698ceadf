-- Shared by all lock scripts; each gets KEYS: session, lock, baton, waiters.
local session, lock, baton, waiters = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
-- A node that is receiving their slot, and has not got all of them, lets only one be declared.
if #KEYS == 1 then lock, baton, waiters = ARGV[#ARGV - 2], ARGV[#ARGV - 1], ARGV[#ARGV] end

-- One waiter less, and no count where nobody waits.
local function leave_queue()
  if redis.call('DECR', waiters) <= 0 then redis.call('DEL', waiters) end
end

-- Lets go of the lock that `token` holds: while somebody waits it becomes a
-- baton, which the longest waiting BLPOP receives and must claim in `window` ms.
local function hand_over(token, window)
  if tonumber(redis.call('GET', waiters) or 0) > 0 then
    local value = token .. ':baton'
    redis.call('SET', lock, value, 'PX', window)
    redis.call('DEL', baton)
    redis.call('RPUSH', baton, value)
    redis.call('PEXPIRE', baton, window)
  else
    redis.call('DEL', lock)
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

-- Counts one more waiter, who may wait `patience` ms. `patience` is 'no' for
-- one who will not wait and 'counted' for one who stands in the queue.
-- Returns false where `most` wait already (0 = no limit).
local function queue_up(patience, most)
  if patience == 'no' or patience == 'counted' then return true end
  if most ~= '0' and tonumber(redis.call('GET', waiters) or 0) >= tonumber(most) then return false end
  redis.call('INCR', waiters)
  -- The count outlives the wait: whoever gives up must still find it.
  local lasts = tonumber(patience) + 1000
  if redis.call('PTTL', waiters) < lasts then redis.call('PEXPIRE', waiters, lasts) end
  return true
end

-- Offers a baton again that somebody was given and has not claimed: whoever
-- claims it first has it. Only if it has less than `left` ms to live.
local function offer_again(left)
  local value = redis.call('GET', lock)
  if not value or string.sub(value, -6) ~= ':baton' or redis.call('LLEN', baton) > 0 then return end
  local lives = redis.call('PTTL', lock)
  if lives > 0 and lives < left then
    redis.call('RPUSH', baton, value)
    redis.call('PEXPIRE', baton, lives)
  end
end
