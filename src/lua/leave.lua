-- A waiter gives up. Returns 1.
if redis.call('EXISTS', waiters) == 1 then
  leave_queue()
  -- The baton may have been on its way to this waiter.
  if redis.call('EXISTS', waiters) == 1 then offer_again(3600000) end
end
return 1
