-- A waiter gives up. Returns 1.
if redis.call('EXISTS', waiters) == 1 then leave_queue() end
return 1
