-- What a partition knows of itself and of the homes of its names.
--
-- KEYS  1 never
-- ARGV  1 root  2 primary
-- Reply { incarnation, seq, 1 if its marks are all that there should be or 0,
--         '<home>:<incarnation>', … }: the homes that list what is here
-- Cost  O(partitions). Atomic.
open_clock()
local reply = { incarnation_here(), string.format('%d', seq), redis.call('ZSCORE', clock_key, '!complete') and 1 or 0 }
for _, member in ipairs(redis.call('ZRANGEBYSCORE', clock_key, -1, -1)) do
  reply[#reply + 1] = string.match(member, '^!known:(.*)$')
end
return reply
