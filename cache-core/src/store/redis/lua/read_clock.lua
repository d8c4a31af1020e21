-- A reading of the clock, before a write or a load without the lease.
--
-- KEYS  1 clock  2 learned, if it is asked for
-- ARGV  1 root  2 primary  3 most bytes of what was learned
-- Reply a reading: see reading.lua
-- Cost  O(1). Atomic.
return reading(KEYS[2])
