-- Extends a lease that is still the caller's.
--
-- KEYS  1 lease      ARGV  1 token  2 lease_ms
-- Reply 1, or 0 if it is not (or no longer) the caller's. Cost O(1). Atomic.
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'string' and string.sub(held, 1, #ARGV[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
