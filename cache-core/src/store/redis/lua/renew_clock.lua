-- A primary that this client has not met before may lag behind the one it replaces. So its clock
-- gets a new incarnation, and a floor at its own time: no reading from before counts.
--
-- KEYS  1 clock      ARGV  1 root  2 nonce
-- Reply 1. Cost O(1): the old clock is freed in the background. Atomic.
open_clock()
renew_clock()
return 1
