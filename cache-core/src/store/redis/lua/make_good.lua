-- Everything was removed since a loss was found: nobody need do that again.
--
-- KEYS  1 clock
-- ARGV  1 root  2 nonce  3 run id of the server that had lost writes, or ''
--       4 mark of the loss of members, or 0
-- Reply 1. Cost O(1). Atomic.
open_clock()
local run = '!run:' .. ARGV[3]
if ARGV[3] ~= '' and redis.call('ZSCORE', clock_key, run) then
  redis.call('ZADD', clock_key, digits(-seq), run)
end
if lost > 0 and lost == tonumber(ARGV[4]) then
  redis.call('ZREM', clock_key, '!lost')
end
return 1
