-- Whether the session may be read without taking the lock: once that is free.
-- ARGV: TTL to refresh (s, as refresh() takes it), wanted (any, known), patience, most waiters, claim window (ms),
--       the baton BLPOP gave, or ''
-- Returns as acquire does; no lock is taken.
local patience, given = ARGV[3], ARGV[6]
local wanted = is_wanted(ARGV[2])
local holder = redis.call('GET', lock)
-- A baton still in the list has nobody blocked for it.
local free = not holder or holder == given or redis.call('LINDEX', baton, 0) == holder
if free or not wanted then
  if patience == 'counted' then leave_queue() end
  if wanted then refresh(ARGV[1]) end
  if holder and holder == given then hand_over(string.sub(given, 1, -7), ARGV[5]) end -- without ':baton'
  return {wanted and 1 or 2}
end
if not queue_up(patience, ARGV[4]) then return {3, false, holder} end
offer_again(250) -- a living waiter claims in far less than that
return {0, redis.call('PTTL', lock), holder}
