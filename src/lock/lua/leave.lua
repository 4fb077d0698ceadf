-- ARGV: ticket
-- A waiter gives up. Returns 1.
leave_queue(ARGV[1])
local holder = redis.call('GET', lock)
-- The baton may have been on its way to this waiter.
if is_baton(holder) and oldest() then offer_again(holder, 3600000) end
return 1
