-- Removes a value as the end of its TTL would, and gives a lease back, if it is still the caller's.
--
-- Memberships stay, as they do when a TTL ends: what was made from the value is found through them until they are reaped.
--
-- KEYS  1 value  2 lease
-- ARGV  1 token  2 the times in the header of the value that is meant (see the module `entry`), or '': whatever lies there
-- Reply 1 if a value was removed, or 0. Cost O(1). Atomic.
local lease = redis.pcall('GET', KEYS[2])
if type(lease) == 'string' and string.sub(lease, 1, #ARGV[1]) == ARGV[1] then
  redis.call('DEL', KEYS[2])
end
if ARGV[2] == '' or redis.pcall('GETRANGE', KEYS[1], 20, 43) == ARGV[2] then
  return redis.call('UNLINK', KEYS[1])
end
return 0
