-- Gives a lease back, if it is still the caller's.
--
-- KEYS  1 lease      ARGV  1 token
-- Reply 1, or 0. Cost O(1). Atomic.
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'string' and string.sub(held, 1, #ARGV[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
