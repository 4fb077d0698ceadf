-- Reads without taking the lock, once it is free.
-- ARGV: TTL to refresh (s, 0 = leave), wanted (any, known), patience, most waiters, claim window (ms),
--       the baton BLPOP gave, or ''
-- Returns as acquire does; no lock is taken.
local wanted, patience, given = ARGV[2], ARGV[3], ARGV[6]
if wanted == 'known' and redis.call('EXISTS', session) == 0 then return {2} end
local holder = redis.call('GET', lock)
-- A baton still in the list has nobody blocked for it.
if not holder or holder == given or redis.call('LINDEX', baton, 0) == holder then
  if patience == 'counted' then leave_queue() end
  local data = read(ARGV[1])
  if holder == given then hand_over(string.sub(given, 1, -7), ARGV[5]) end -- without ':baton'
  return {1, data}
end
if not queue_up(patience, ARGV[4]) then return {3, false, holder} end
return {0, redis.call('PTTL', lock), holder}
