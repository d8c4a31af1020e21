-- A process that has talked to another primary meets this one.
--
-- KEYS  1 clock
-- ARGV  1 root  2 primary  3 the highest sequence number that this process has seen, 0 if none
-- Reply 'whole', or 'lost': the server's data is older than what this process has seen
-- Cost  O(marks of closed names): an old clock is freed in the background. Atomic.
--
-- The server may lag behind the one that it replaces, or may have come back from an old file.
-- Whoever ran a script on it first has written its clock anew, and noted with which sequence number
-- it began: for whoever comes later finds the clock moved on. Who has seen more than the server has
-- writes it anew once more: the server stood beside another primary, and the loads that began here
-- know nothing of that one. So does everybody if the server does not tell who it is.
open_clock()
local seen, began = tonumber(ARGV[3]), math.abs(redis.call('ZSCORE', clock_key, primary))
if primary == '!seq' or began < seen then
  seq = math.max(seq, seen)
  renew_clock(began)
end
return began < seen and 'lost' or 'whole'
