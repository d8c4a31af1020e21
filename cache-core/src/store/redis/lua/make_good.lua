-- Everything was removed since a loss was found: nobody need do that again.
--
-- KEYS  1 clock
-- ARGV  1 root  2 primary  3 reign of the primary that had lost writes, or ''
--       4 mark of the loss of members, or 0
-- Reply 1. Cost O(1). Atomic.
open_clock()
local reign = '!reign:' .. ARGV[3]
if ARGV[3] ~= '' and redis.call('ZSCORE', clock_key, reign) then
  redis.call('ZADD', clock_key, -seq, reign)
end
if lost > 0 and lost == tonumber(ARGV[4]) then
  redis.call('ZREM', clock_key, '!lost')
end
return 1
