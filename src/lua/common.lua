-- Shared by all lock scripts; each gets KEYS: session, lock, baton, waiters.
local session, lock, baton, waiters = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

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

-- The session's data; its TTL starts again unless `ttl` (s) is 0.
local function read(ttl)
  local data = redis.call('GET', session)
  if data and ttl ~= '0' then redis.call('EXPIRE', session, ttl) end
  return data
end

-- Counts one more waiter, who may wait `patience` ms. `patience` is 'no' for
-- one who will not wait and 'counted' for one who stands in the queue.
-- Returns false where `most` wait already (0 = no limit).
local function queue_up(patience, most)
  if patience == 'no' or patience == 'counted' then return true end
  if most ~= '0' and tonumber(redis.call('GET', waiters) or 0) >= tonumber(most) then return false end
  redis.call('INCR', waiters)
  if redis.call('PTTL', waiters) < tonumber(patience) then redis.call('PEXPIRE', waiters, patience) end
  return true
end
