-- ARGV: token, claim window (ms), ticket, how long it lasts (ms), place (line, aside)
-- A waiter shows that it lives while its BLPOP waits in the server's queue, and
-- offers a lock that no one holds: it never takes it itself.
-- Returns {0, lock's PTTL, lock's value, ticket}, or {4} where no one is blocked, so this one is not either, or
-- the user may not queue up.
local token, window, ticket, lasts = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if stay(ticket, lasts, ARGV[5]) == '' then return {4} end
local holder = redis.call('GET', lock)
if not holder then
  holder = offer(token, window)
  if not holder then return {4} end
elseif is_baton(holder) then
  if redis.call('EXISTS', baton) == 1 then return {4} end
  offer_again(holder, 250) -- a living waiter claims in far less than that
end
return {0, left_of_lock(), holder, ticket}
