-- Removes a value as the end of its TTL would, and gives a lease back, if it is still the caller's.
--
-- KEYS  1 clock  2 value  3 lease
-- ARGV  1 root  2 primary  3 key  4 token
--       5 the times in the header of the value that is meant (see the module `entry`), or '':
--       whatever lies there
-- Reply 1 if a value was removed, or 0
-- Cost  O(256 names · log n) at most; further names are reaped. Atomic.
local key, token = ARGV[3], ARGV[4]
local lease = redis.pcall('GET', KEYS[3])
if type(lease) == 'string' and string.sub(lease, 1, #token) == token then
  redis.call('DEL', KEYS[3])
end
if ARGV[5] ~= '' and redis.pcall('GETRANGE', KEYS[2], 20, 43) ~= ARGV[5] then
  return 0
end
local block = names_of(KEYS[2])
local removed = redis.call('UNLINK', KEYS[2])
-- The memberships stay while something depends on the key: that may have been made from this value,
-- and is reached through its memberships alone.
if block ~= '' and redis.call('EXISTS', index_prefix .. 'k' .. key) == 0 then
  local leave, finish_leaving = leaving()
  leave(key, block, {}, 256)
  finish_leaving()
end
return removed
