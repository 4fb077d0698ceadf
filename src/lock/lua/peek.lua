-- Lets a request read without taking the lock, once the lock is free.
-- ARGV: token, TTL to refresh (s, as refresh() takes it), wanted (any, known), claim window (ms), ticket ('' = none yet),
--       how long it lasts (ms, 0 = will not wait), place (line, aside), most waiters, the baton BLPOP gave, or ''
-- Returns as acquire does; no lock is taken.
local token, window, ticket, lasts, given = ARGV[1], ARGV[4], ARGV[5], ARGV[6], ARGV[9]
local wanted = is_wanted(ARGV[3])
local holder = redis.call('GET', lock)
-- If the baton is still in the list, no one is blocked for it.
local free = not holder or holder == given or is_baton(holder) and redis.pcall('LINDEX', baton, 0) == holder
if free or not wanted then
  leave_queue(ticket)
  if wanted then refresh(ARGV[2]) end
  if not holder and oldest() or holder and holder == given then hand_over(token, window) end
  return {wanted and 1 or 2}
end
if is_baton(holder) then offer_again(holder, 250) end -- a living waiter claims in far less than that
if lasts ~= '0' then
  ticket = queue_up(ticket, lasts, ARGV[7], ARGV[8], holder)
  if not ticket then return {3, false, holder} end
end
return {0, left_of_lock(), holder, ticket}
